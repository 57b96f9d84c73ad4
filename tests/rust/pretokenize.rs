use std::sync::LazyLock;

use byteloom::pretokenize::categories::{Categories, CategoryTable};
use byteloom::pretokenize::classes::{Class, Classes};
use byteloom::pretokenize::simd::Simd;
use byteloom::pretokenize::{MAX_BATCH, Pretokenizer};
use byteloom::special::SpecialTokens;
use byteloom::{ErrorKind, Monitor};
use fancy_regex::Regex;
use proptest::prelude::*;

use crate::oracle;
use crate::support::{
    all_presets, cancelled, config, every_string, nasty, over, parts, pretokens, special_tokens,
};

/// As OpenAI published it; the crate writes it otherwise.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

fn check_gpt2(text: &[u8]) {
    static REGEX: LazyLock<Regex> = LazyLock::new(|| Regex::new(GPT2).unwrap());

    let (name, preset) = all_presets().find(|&(name, _)| name == "gpt2").unwrap();
    check(name, preset, &oracle::split::pattern(&REGEX, text), text);
}

/// Every preset but GPT-2's against the regex engine with the preset's own pattern.
fn check_presets(text: &[u8]) {
    static PRESETS: LazyLock<Vec<(&str, &Pretokenizer, Regex)>> = LazyLock::new(|| {
        let others = all_presets().filter(|&(name, _)| name != "gpt2");
        others.map(|(name, it)| (name, it, Regex::new(it.pattern()).unwrap())).collect()
    });

    for (name, preset, regex) in PRESETS.iter() {
        check(name, preset, &oracle::split::pattern(regex, text), text);
    }
}

/// A preset's scanner in every way that this processor has.
fn check(name: &str, preset: &Pretokenizer, expected: &[Vec<u8>], text: &[u8]) {
    for simd in Simd::available() {
        let (mut found, mut next) = (Vec::new(), 0);
        preset
            .for_each_batch_by(simd, text, &Monitor::new(), |mut start, ends| {
                assert_eq!(start, next);
                assert!((1..=MAX_BATCH).contains(&ends.len()));
                for &end in ends {
                    found.push(&text[start..end]);
                    start = end;
                }
                next = start;
            })
            .unwrap();
        assert_eq!(found, expected, "{name}, {}: {}", simd.name(), text.escape_ascii());
    }
}

mod classes {
    use super::*;

    #[test]
    fn every_code_point_has_the_class_that_the_engines_give() {
        let classes = Classes::get();
        let matches = |pattern| Regex::new(&format!("^{pattern}$")).unwrap();
        let (letter, number, space) = (matches(r"\p{L}"), matches(r"\p{N}"), matches(r"\s"));
        for c in '\0'..=char::MAX {
            let mut buffer = [0; 4];
            let text: &str = c.encode_utf8(&mut buffer);
            let is = |regex: &Regex| regex.is_match(text).unwrap();
            let expected = match (is(&letter), is(&number), is(&space)) {
                (true, false, false) => Class::Letter,
                (false, true, false) => Class::Number,
                (false, false, true) => Class::Space,
                (false, false, false) => Class::Other,
                several => panic!("{c:?} has several classes: {several:?}"),
            };
            let bytes = text.as_bytes();
            assert_eq!(classes.of(c.into()), expected, "{c:?}");
            assert_eq!(classes.first(bytes), (expected, bytes.len()), "{c:?}");
            assert_eq!(classes.last(bytes), (expected, bytes.len()), "{c:?}");
            // The standard library has tables of its own.
            assert_eq!(c.is_whitespace(), expected == Class::Space, "{c:?}");
            if c.is_ascii() {
                assert_eq!(classes.of_ascii(bytes[0]), expected, "{c:?}");
                assert_eq!(c.is_ascii_alphabetic(), expected == Class::Letter, "{c:?}");
                assert_eq!(c.is_ascii_digit(), expected == Class::Number, "{c:?}");
            }
        }
    }

    #[test]
    fn surrogates_are_other() {
        assert!((0xd800..0xe000).all(|surrogate| Classes::get().of(surrogate) == Class::Other));
    }

    proptest! {
        #![proptest_config(config(4000))]

        #[test]
        fn first_and_last_decode_as_the_standard_library(text in nasty(1..5)) {
            let class = |c: Option<char>| c.map_or((Class::Other, 1), |c| {
                (Classes::get().of(c.into()), c.len_utf8())
            });
            let decode = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|text| {
                let mut chars = text.chars();
                chars.next().filter(|_| chars.next().is_none())
            });
            let n = text.len();
            let first = (1..=n.min(4)).find_map(|length| decode(&text[..length]));
            let last = (1..=n.min(4)).find_map(|length| decode(&text[n - length..]));
            prop_assert_eq!(Classes::get().first(&text), class(first));
            prop_assert_eq!(Classes::get().last(&text), class(last));
        }
    }
}

mod categories {
    use super::*;

    /// What regular expressions call the categories.
    const NAMES: &[(&str, Categories)] = &[
        (r"[^\s\p{L}\p{N}\p{M}]", Categories::OTHER),
        (r"\p{M}", Categories::MARK),
        (r"\p{Ll}", Categories::LOWER),
        (r"\p{Lu}|\p{Lt}", Categories::UPPER),
        (r"\p{Lm}|\p{Lo}", Categories::CASELESS),
        (r"\p{N}", Categories::NUMBER),
        (r"[^\S\r\n]", Categories::SPACE),
        (r"\r|\n", Categories::NEWLINE),
    ];

    #[test]
    fn every_code_point_has_the_category_that_the_engines_give() {
        let table = CategoryTable::get();
        let whole = |pattern| Regex::new(&format!("^(?:{pattern})$")).unwrap();
        let names: Vec<_> = NAMES.iter().map(|&(name, set)| (whole(name), set)).collect();
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            let mut of_engine = names.iter().filter(|(regex, _)| regex.is_match(&text).unwrap());
            let expected = of_engine.next().map(|&(_, set)| set).unwrap();
            assert!(of_engine.next().is_none(), "{c:?} has several categories");
            assert_eq!(table.at(text.as_bytes(), 0), (expected, text.len()), "{c:?}");
            assert_eq!(table.before(text.as_bytes(), text.len()), expected, "{c:?}");
            if c.is_ascii() {
                assert_eq!(table.of_ascii(c as u8), expected, "{c:?}");
            }
            let class = match Classes::get().of(c.into()) {
                Class::Letter => Categories::LETTER,
                Class::Number => Categories::NUMBER,
                Class::Space => Categories::WHITESPACE,
                Class::Other => Categories::OTHER.or(Categories::MARK),
            };
            assert!(class.has(expected), "{c:?}");
        }
    }

    #[test]
    fn other_bytes_than_ascii_are_in_no_set() {
        for (byte, &(_, set)) in (0x80..=0xff).flat_map(|b| NAMES.iter().map(move |n| (b, n))) {
            assert!(!set.has(CategoryTable::get().of_ascii(byte)));
        }
    }

    proptest! {
        #![proptest_config(config(4000))]

        #[test]
        fn characters_end_where_lossy_decoding_ends_them(text in nasty(1..5)) {
            let table = CategoryTable::get();
            let (mut at, mut lengths) = (0, Vec::new());
            while at < text.len() {
                let (category, length) = table.at(&text, at);
                at += length;
                lengths.push((category, length));
                prop_assert_eq!(table.before(&text, at), category);
            }
            let mut expected = Vec::new();
            for chunk in text.utf8_chunks() {
                let category = |c: char| table.at(c.to_string().as_bytes(), 0);
                expected.extend(chunk.valid().chars().map(category));
                let invalid = chunk.invalid().len();
                expected.extend((invalid > 0).then_some((Categories::OTHER, invalid)));
            }
            prop_assert_eq!(lengths, expected);
        }
    }
}

mod scanner {
    use super::*;

    #[test]
    fn every_short_string() {
        let alphabet = ["'", "s", "l", "e", " ", "\n", "\t", "1", ",", "é", "\u{a0}"];
        every_string(&alphabet, 5, |text| check_gpt2(text.as_bytes()));
        every_string(&["'", "r", "e", " ", "\n"], 7, |text| check_gpt2(text.as_bytes()));
    }

    #[test]
    fn known_texts() {
        let gpt2 = Pretokenizer::new("gpt2").unwrap();
        let split = |text: &str| -> Vec<String> {
            let pretokens = pretokens(&gpt2, text.as_bytes());
            pretokens.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
        };
        assert_eq!(split("I'll say 'tis 'S"), ["I", "'ll", " say", " '", "tis", " '", "S"]);
        assert_eq!(split("a  b \n\n c "), ["a", " ", " b", " \n\n", " c", " "]);
        assert_eq!(split("x\u{a0}\u{a0}y"), ["x", "\u{a0}", "\u{a0}", "y"]);
        assert_eq!(split("x²३ ½"), ["x", "²३", " ½"]);
        assert_eq!(split("don't''re"), ["don", "'t", "''", "re"]);
        assert!(split("").is_empty());
    }

    #[test]
    fn runs_longer_than_any_block() {
        for n in [63, 64, 65, 127, 128, 129, 1000, 4096] {
            for symbol in ["a", " ", "\n", "1", ",", "'", "é", "\u{3000}", "'s", " a"] {
                let run = symbol.repeat(n);
                for text in [run.clone(), format!("x{run}y"), format!(" {run} "), run + "\u{a0}'ll"]
                {
                    check_gpt2(text.as_bytes());
                }
            }
        }
    }

    proptest! {
        #![proptest_config(config(2000))]

        #[test]
        fn nasty_texts(text in nasty(0..40)) {
            check_gpt2(&text);
        }

        #[test]
        fn ascii(text in "[ -~\n\t]{0,200}|[a-z' ]{0,200}") {
            check_gpt2(text.as_bytes());
        }

        #[test]
        fn any_characters(text in prop::collection::vec(any::<char>(), 0..60)) {
            check_gpt2(String::from_iter(text).as_bytes());
        }

        #[test]
        fn any_bytes(text in prop::collection::vec(any::<u8>(), 0..200)) {
            check_gpt2(&text);
        }

        #[test]
        fn words_and_a_character_at_any_place(
            at in 0usize..150, fragment in nasty(1..3), word in "[a-z]{1,20}( [a-z]{1,9}){0,30}",
        ) {
            // A character that is not ASCII may fall anywhere in a block of a wide scanner.
            let mut text = word.repeat(5).into_bytes();
            text.splice(at.min(text.len())..at.min(text.len()), fragment);
            check_gpt2(&text);
        }
    }
}

mod scanners {
    use super::*;

    #[test]
    fn every_short_string() {
        let contractions = ["'", "s", "L", "e", "ſ", " ", "\n", "1", ","];
        every_string(&contractions, 4, |text| check_presets(text.as_bytes()));
        every_string(&["'", "r", "E", " ", "x"], 6, |text| check_presets(text.as_bytes()));
        let cases = ["a", "B", "ǅ", "ʰ", "日", "\u{301}", "'s", " ", "!"];
        every_string(&cases, 4, |text| check_presets(text.as_bytes()));
        every_string(&["a", "B", "日", "\u{301}"], 6, |text| check_presets(text.as_bytes()));
        let spaces = [" ", "\n", "\r", "\t", "\u{2028}", "a", "1", "!", "/"];
        every_string(&spaces, 4, |text| check_presets(text.as_bytes()));
        every_string(&[" ", "\n", "\t", "a", "!"], 6, |text| check_presets(text.as_bytes()));
        every_string(&["1", "२", "½", "a", " "], 5, |text| check_presets(text.as_bytes()));
        let suffixes = ["'", "s", "L", "l", "A", "日"];
        every_string(&suffixes, 5, |text| check_presets(text.as_bytes()));
        let symbols = ["!", "/", "\n", "\u{301}", "a", " "];
        every_string(&symbols, 5, |text| check_presets(text.as_bytes()));
    }

    #[test]
    fn every_short_string_at_the_border_of_a_block() {
        let alphabets: [&[&str]; 4] = [
            &["'", "l", "L", "s", " ", "日", "A"],
            &["!", "/", "\n", "\u{301}", "a", "“", " "],
            &[" ", "\n", "\u{3000}", "a", "!"],
            &["1", "२", "a", " "],
        ];
        for (before, alphabet) in ["a", "!", "\n ", "1"].into_iter().zip(alphabets) {
            let before = before.repeat(64);
            for length in 60..64 {
                every_string(alphabet, 4, |text| {
                    let text = [&before[before.len() - length..], text].concat();
                    check_presets(text.as_bytes());
                    check_gpt2(text.as_bytes());
                });
            }
        }
    }

    #[test]
    fn every_short_string_with_bytes_that_are_no_utf8() {
        // Two that become one U+FFFD, two that become two, and one alone.
        let invalid = [("X", &b"\xe2\x82"[..]), ("Y", b"\xff\xfe"), ("Z", b"\x80")];
        every_string(&["X", "Y", "Z", "a", " ", "'", "\n", "\u{301}"], 4, |text| {
            let bytes = text.bytes().flat_map(|byte| {
                let found = invalid.iter().find(|(name, _)| name.as_bytes() == [byte]);
                found.map_or(vec![byte], |(_, bytes)| bytes.to_vec())
            });
            check_presets(&bytes.collect::<Vec<_>>());
        });
    }

    #[test]
    fn known_texts() {
        let split = |preset: &str, text: &str| -> Vec<String> {
            let pretokens = pretokens(&Pretokenizer::new(preset).unwrap(), text.as_bytes());
            pretokens.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
        };
        assert_eq!(split("cl100k", "I'LL (say"), ["I", "'LL", " (", "say"]);
        assert_eq!(split("cl100k", "it'ſ"), ["it", "'ſ"]);
        assert_eq!(split("cl100k", "12345 a  b"), ["123", "45", " a", " ", " b"]);
        assert_eq!(split("cl100k", "a;\n\n  b\n  "), ["a", ";\n\n", " ", " b", "\n  "]);
        assert_eq!(split("llama3", "a;\n\n  b\n  "), ["a", ";\n\n", " ", " b", "\n", "  "]);
        assert_eq!(split("qwen2", "123 456"), ["1", "2", "3", " ", "4", "5", "6"]);
        assert_eq!(split("qwen2", "e\u{301}a"), ["e", "\u{301}a"]);
        assert_eq!(split("qwen3_5", "e\u{301}a"), ["e\u{301}a"]);
        assert_eq!(split("o200k", "It'S getHTTPResponse"), ["It'S", " get", "HTTPResponse"]);
        assert_eq!(split("o200k", "日本ABC"), ["日本", "ABC"]);
        assert_eq!(split("o200k", "it's日Ab it日Ab"), ["it's", "日Ab", " it日", "Ab"]);
        assert_eq!(split("o200k", "//\n/x"), ["//\n/", "x"]);
        assert_eq!(split("tekken", "It'S 12"), ["It", "'S", " ", "1", "2"]);
    }

    #[test]
    fn every_code_point_next_to_every_class() {
        // All beyond are unassigned, ideographs or for private use, but for some marks.
        let assigned = ('\0'..'\u{20000}').chain('\u{e0000}'..'\u{e0200}').collect::<Vec<_>>();
        for block in assigned.chunks(256) {
            let text: Vec<_> =
                block.iter().map(|c| format!("{c}a{c}B{c}{c} {c}'{c}'s1{c}\n")).collect();
            check_presets(text.concat().as_bytes());
        }
    }

    #[test]
    fn runs_longer_than_any_block() {
        for n in [7, 8, 9, 15, 16, 17, 63, 64, 65, 1000] {
            for symbol in ["a", "A", "日", "\u{301}", " ", "\n", "1", "!", "'", "é", "aB", " a"] {
                let run = symbol.repeat(n);
                for text in [run.clone(), format!("x{run}y"), format!(" {run} "), run + "\u{a0}'ll"]
                {
                    check_presets(text.as_bytes());
                }
            }
        }
    }

    proptest! {
        #![proptest_config(config(1000))]

        #[test]
        fn nasty_texts(text in nasty(0..40)) {
            check_presets(&text);
        }

        #[test]
        fn ascii(text in "[ -~\r\n\t]{0,200}|[a-zA-C' ]{0,200}") {
            check_presets(text.as_bytes());
        }

        #[test]
        fn any_characters(text in prop::collection::vec(any::<char>(), 0..60)) {
            check_presets(String::from_iter(text).as_bytes());
        }

        #[test]
        fn any_bytes(text in prop::collection::vec(any::<u8>(), 0..200)) {
            check_presets(&text);
        }

        #[test]
        fn words_and_a_character_at_any_place(
            at in 0usize..150, fragment in nasty(1..3), word in "[a-zA-Z]{1,20}( [a-z]{1,9}){0,30}",
        ) {
            let mut text = word.repeat(3).into_bytes();
            text.splice(at.min(text.len())..at.min(text.len()), fragment);
            check_presets(&text);
        }

        #[test]
        fn nasty_texts_at_the_border_of_a_block(
            before in nasty(1..3), length in 40usize..200, text in nasty(1..12), behind in nasty(0..20),
        ) {
            // Whatever runs on, up to the border and behind it.
            let run = before.repeat(length.div_ceil(before.len()));
            let text = [&run[run.len() - length..], &text, &behind].concat();
            check_presets(&text);
            check_gpt2(&text);
        }
    }
}

mod engine {
    use super::*;

    const CUSTOM: &[&str] = &[
        // Matches everything, something, nothing, and nothing but places.
        r"(?s).",
        r"\w+",
        "x",
        "",
        "a*",
        "(?=a)",
        r"\b",
        // Look-behind, anchors, and what follows.
        r"(?<=a)b+",
        r"(?<!a)b",
        "^a|b$",
        r"\w+(?=\s)|\s",
        r"\Aa+",
        r".\K.",
    ];

    #[test]
    fn a_million_spaces_are_split_under_every_preset() {
        for (name, preset) in all_presets() {
            let run = b" ".repeat(1_000_000);
            assert_eq!(pretokens(preset, &run), [run], "{name}");
        }
    }

    #[test]
    fn a_preset_is_known_by_name_and_by_both_of_its_patterns() {
        for (name, preset) in all_presets() {
            for pattern in [preset.pattern(), preset.huggingface_pattern()] {
                let same = Pretokenizer::new(pattern).unwrap();
                assert_eq!((same.preset(), same.pattern()), (Some(name), preset.pattern()));
            }
        }
        for (alias, name) in [("p50k_base", "gpt2"), ("o200k_harmony", "o200k"), (GPT2, "gpt2")] {
            assert_eq!(Pretokenizer::new(alias).unwrap().preset(), Some(name));
        }
        let own = Pretokenizer::new(r"\w+").unwrap();
        assert_eq!((own.preset(), own.pattern()), (None, r"\w+"));
        assert_eq!(own.huggingface_pattern(), r"\w+");
    }

    #[test]
    fn keeps_what_lies_between_matches() {
        let words = Pretokenizer::new(r"\w+").unwrap();
        assert_eq!(pretokens(&words, b"..a, b.."), [&b".."[..], b"a", b", ", b"b", b".."]);
    }

    #[test]
    fn invalid_bytes_are_kept_as_they_are() {
        let one = Pretokenizer::new("(?s).").unwrap();
        let text = b"a\xe2\x82b\xff\xfe\xf0\x9f\xa6";
        let expected = [&b"a"[..], b"\xe2\x82", b"b", b"\xff", b"\xfe", b"\xf0\x9f\xa6"];
        assert_eq!(pretokens(&one, text), expected);
        let replacement = Pretokenizer::new("\u{fffd}+").unwrap();
        assert_eq!(pretokens(&replacement, b"a\xff\xfeb"), [&b"a"[..], b"\xff\xfe", b"b"]);
    }

    #[test]
    fn refuses_what_is_no_pattern() {
        for wrong in ["(", "gpt3(", r"\p{Nonsense}", "[b-a]"] {
            let error = Pretokenizer::new(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(&format!("{wrong:?}")), "{error}");
            assert!(error.to_string().contains("neither a preset's name nor"), "{error}");
        }
    }

    #[test]
    fn says_when_the_engine_gives_up() {
        // Back-references make the engine try 2^n ways.
        let runaway = Pretokenizer::new(r"(a|b|ab)*(?=c)(?<!x)").unwrap();
        let error = runaway.for_each(&b"ab".repeat(4000), &Monitor::new(), |_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("fails at byte 0 of a text of 8000 bytes"), "{error}");
    }

    #[test]
    fn stops_when_it_is_told_to() {
        for (name, preset) in all_presets() {
            let error = preset.for_each(b"some text", &cancelled(), |_| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{name}");
        }
    }

    proptest! {
        #![proptest_config(config(600))]

        #[test]
        fn any_pattern(pattern in prop::sample::select(CUSTOM), text in nasty(0..16)) {
            let found = pretokens(&Pretokenizer::new(pattern).unwrap(), &text);
            prop_assert_eq!(&found.concat(), &text);
            prop_assert!(found.iter().all(|pretoken| !pretoken.is_empty()));
            let regex = Regex::new(pattern).unwrap();
            prop_assert_eq!(found, oracle::split::pattern(&regex, &text));
        }
    }
}

mod cuts {
    use super::*;

    /// Every place that `last_cut` accepts under any limit splits the text as the whole splits.
    fn check(pretokenizer: &Pretokenizer, special: &SpecialTokens, text: &[u8]) -> usize {
        let whole = parts(pretokenizer, special, text);
        let mut accepted = 0;
        let mut last = None;
        for limit in 0..=text.len() + 1 {
            let cut = pretokenizer.last_cut(text, limit, special);
            // A larger limit never loses a place.
            assert!(cut >= last, "{:?} at limit {limit}", String::from_utf8_lossy(text));
            if let Some(at) = cut.filter(|_| cut != last) {
                assert!(0 < at && at <= limit && at < text.len());
                let (before, after) = text.split_at(at);
                let mut joined = parts(pretokenizer, special, before);
                joined.extend(parts(pretokenizer, special, after));
                assert_eq!(joined, whole, "{:?} cut at {at}", String::from_utf8_lossy(text));
                accepted += 1;
            }
            last = cut;
        }
        accepted
    }

    fn none() -> SpecialTokens {
        special_tokens(&[])
    }

    #[test]
    fn every_short_string_under_gpt2() {
        let gpt2 = Pretokenizer::new("gpt2").unwrap();
        let (none, special) = (none(), special_tokens(&["'", "s ", "sl", "ls1"]));
        let alphabet = ["'", "s", "l", " ", "\n", "1", ",", "\u{a0}"];
        let mut accepted = 0;
        every_string(&alphabet, 5, |text| {
            accepted += check(&gpt2, &none, text.as_bytes());
            check(&gpt2, &special, text.as_bytes());
        });
        assert!(accepted > 10_000, "hardly anything can be cut: {accepted}");
    }

    #[test]
    fn every_short_string_under_each_preset() {
        for (name, preset) in all_presets() {
            let mut accepted = 0;
            every_string(&["'", "s", "1", " ", "\n", "\r", "!"], 5, |text| {
                accepted += check(preset, &none(), text.as_bytes());
            });
            assert!(accepted > 500, "hardly anything can be cut under {name}: {accepted}");
            every_string(&["a", "B", "日", "\u{301}", "'", " ", "/", "\n"], 4, |text| {
                check(preset, &none(), text.as_bytes());
            });
        }
    }

    #[test]
    fn every_pretoken_of_plain_text_can_be_cut_off() {
        for (name, preset) in all_presets() {
            let text = b"every word\nof a plain text can be cut off";
            let cuts: Vec<_> =
                (1..text.len()).filter_map(|at| preset.last_cut(text, at, &none())).collect();
            for at in [5, 10 + 1, 13, 15, 21, 26, 30, 33, 37] {
                assert!(cuts.contains(&at), "{name}: {at} is not in {cuts:?}");
            }
        }
    }

    #[test]
    fn an_unknown_pattern_is_cut_at_special_tokens_only() {
        let pattern = Pretokenizer::new(r"(?s)\A.|.+").unwrap();
        let special = special_tokens(&["<|a|>"]);
        let text = b"one two<|a|>three four";
        assert_eq!(pattern.last_cut(text, 6, &special), None);
        assert_eq!(pattern.last_cut(text, 11, &special), Some(7));
        assert_eq!(pattern.last_cut(text, 20, &special), Some(12));
        assert_eq!(pattern.last_cut(text, 20, &none()), None);
    }

    #[test]
    fn the_lookahead_covers_the_longest_special_token() {
        let gpt2 = Pretokenizer::new("gpt2").unwrap();
        assert!(gpt2.lookahead(&none()) >= 5, "a space and a character of four bytes");
        assert!(gpt2.lookahead(&special_tokens(&["<|a rather long one|>"])) >= 21);
    }

    proptest! {
        #![proptest_config(config(800))]

        #[test]
        fn nasty_texts(text in nasty(0..24)) {
            let special = special_tokens(&["'s", "a'", " ", "\u{a0}1", "🦀", "\n\n", "s '"]);
            for (_, preset) in all_presets() {
                check(preset, &none(), &text);
                check(preset, &special, &text);
            }
        }

        #[test]
        fn what_lies_behind_the_lookahead_does_not_matter(
            text in nasty(0..24), behind in nasty(0..8), limit in 1usize..40,
        ) {
            let special = special_tokens(&["'s a", "<|long special token|>", " "]);
            for (name, preset) in all_presets() {
                let seen = limit + preset.lookahead(&special);
                if text.len() < seen {
                    continue;
                }
                let longer = [&text[..seen], &behind].concat();
                let cut = preset.last_cut(&text[..seen], limit, &special);
                prop_assert_eq!(preset.last_cut(&longer, limit, &special), cut, "{}", name);
            }
        }

        #[test]
        fn special_tokens_that_overlap(
            tokens in prop::collection::hash_set(over(b"ab ", 1..5), 0..4),
            text in over(b"abc ", 0..20),
        ) {
            let tokens: Vec<_> = tokens.into_iter().collect();
            let special = SpecialTokens::new(&tokens).unwrap();
            static CUSTOM: LazyLock<[Pretokenizer; 2]> =
                LazyLock::new(|| [r"\w+|\W+", "(?s).+"].map(|p| Pretokenizer::new(p).unwrap()));
            for pretokenizer in all_presets().map(|(_, preset)| preset).chain(CUSTOM.iter()) {
                check(pretokenizer, &special, &text);
            }
        }
    }
}
