use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use byteloom::count::Counts;
use byteloom::encode::{AllowedSpecial, Dtype, EncodeOptions, EncodeStats, Encoder};
use byteloom::pretokenize::Pretokenizer;
use byteloom::train::{TieBreak, TrainOptions, train};
use byteloom::vocab::Vocabulary;
use byteloom::{ErrorKind, Monitor, Result};
use proptest::prelude::*;

use crate::oracle;
use crate::support::{Part, cancelled, config, file, names, nasty, over, parts, special_tokens};

type Bytes = Vec<u8>;

const TEXT: &str = "It's a text, isn't it? A text of texts: the test that tests the tests. \
                    <|end|>The rest rests, ÄÖÜ äöü 日本 日本語 12 123 1234\n\n  aaaa aaaaaaa\n";

fn trained(words: &[Bytes], more: usize, special_tokens: Vec<Bytes>) -> Vocabulary {
    let mut counts = Counts::new();
    words.iter().for_each(|word| counts.add(word, 1));
    let vocab_size = 256 + special_tokens.len() + more;
    let tie_break = TieBreak::Bytes;
    let options = TrainOptions { vocab_size, special_tokens, tie_break, min_frequency: 1 };
    train(&counts, &options, &Monitor::new()).unwrap()
}

/// An encoder of [`TEXT`].
fn encoder(pattern: &str) -> Encoder {
    let pretokenizer = Pretokenizer::new(pattern).unwrap();
    let special: Vec<Bytes> = ["<|end|>", "<|end|><|end|>"].map(|t| t.as_bytes().to_vec()).into();
    let mut words = Vec::new();
    for part in parts(&pretokenizer, &special_tokens(&["<|end|>"]), TEXT.as_bytes()) {
        if let Part::Pretoken(word) = part {
            words.push(word);
        }
    }
    Encoder::new(trained(&words, 60, special), pretokenizer).unwrap()
}

fn encode(encoder: &Encoder, text: &[u8], allowed: &AllowedSpecial) -> Vec<u32> {
    encoder.encode(text, allowed, &Monitor::new()).unwrap().to_vec()
}

fn decode(encoder: &Encoder, ids: &[u32]) -> Bytes {
    let mut bytes = Vec::new();
    encoder.decode(ids, &mut bytes).unwrap();
    bytes
}

/// Ids by the oracle: special tokens, pretokens, merges.
fn expected(encoder: &Encoder, text: &[u8]) -> Vec<u32> {
    let vocabulary = encoder.vocabulary();
    let oracle = oracle::encode::Encoder::new(vocabulary);
    let (tokens, ids): (Vec<_>, Vec<_>) = vocabulary.special_tokens().iter().cloned().unzip();
    let special = byteloom::special::SpecialTokens::new(&tokens).unwrap();
    let parts = parts(encoder.pretokenizer(), &special, text).into_iter();
    let encode = |part| match part {
        Part::Special(index) => vec![ids[index]],
        Part::Pretoken(pretoken) => oracle.encode(&pretoken),
    };
    parts.flat_map(encode).collect()
}

/// Vocabularies in which anything may merge with anything, products made twice among them: random
/// pairs of tokens that are there.
fn arbitrary(letters: &'static [u8]) -> impl Strategy<Value = Vocabulary> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..30)
        .prop_map(|picks| {
            let mut tokens: Vec<Bytes> = (0..=255).map(|byte| vec![byte]).collect();
            let mut pool: Vec<Bytes> = letters.iter().map(|&letter| vec![letter]).collect();
            let mut merges = Vec::new();
            for (left, right) in picks {
                let (left, right) = (left.get(&pool).clone(), right.get(&pool).clone());
                let product = [left.as_slice(), &right].concat();
                if product.len() > 8 {
                    continue;
                }
                if !tokens.contains(&product) {
                    tokens.push(product.clone());
                    pool.push(product);
                }
                merges.push((left, right));
            }
            Vocabulary::new((0..).zip(tokens).collect(), merges, &[]).unwrap()
        })
}

fn whole(vocabulary: Vocabulary) -> Encoder {
    Encoder::new(vocabulary, Pretokenizer::new("(?s).+").unwrap()).unwrap()
}

proptest! {
    #![proptest_config(config(3000))]

    #[test]
    fn merges_the_lowest_rank_first(
        vocabulary in arbitrary(b"abc"), pretokens in prop::collection::vec(over(b"abcd", 1..24), 1..6),
    ) {
        let encoder = whole(vocabulary);
        let oracle = oracle::encode::Encoder::new(encoder.vocabulary());
        // Twice: merged, and from the cache.
        for pretoken in pretokens.iter().chain(&pretokens) {
            let ids = encode(&encoder, pretoken, &AllowedSpecial::All);
            prop_assert_eq!(ids, oracle.encode(pretoken));
        }
    }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn long_pretokens_merge_as_short_ones_do(
        vocabulary in arbitrary(b"ab"),
        pretoken in prop_oneof![over(b"ab", 60..300), over(b"aaab", 60..70), over(b"a", 60..300)],
    ) {
        let encoder = whole(vocabulary);
        let oracle = oracle::encode::Encoder::new(encoder.vocabulary());
        let ids = encode(&encoder, &pretoken, &AllowedSpecial::All);
        prop_assert_eq!(ids, oracle.encode(&pretoken));
    }

    #[test]
    fn what_was_trained_on_becomes_what_training_made_of_it(word in over(b"abc", 1..40)) {
        // All merges wanted: the word itself is the last token.
        let encoder = whole(trained(std::slice::from_ref(&word), 1000, Vec::new()));
        let ids = encode(&encoder, &word, &AllowedSpecial::All);
        prop_assert_eq!(encoder.vocabulary().token(ids[0]), Some(word.as_slice()));
        prop_assert_eq!(ids.len(), 1);
    }

    #[test]
    fn decoding_undoes_encoding(text in nasty(0..60), any in prop::collection::vec(any::<u8>(), 0..200)) {
        static ENCODERS: LazyLock<[Encoder; 2]> = LazyLock::new(|| ["gpt2", "cl100k"].map(encoder));
        for encoder in ENCODERS.iter() {
            for text in [&text, &any] {
                let ids = encode(encoder, text, &AllowedSpecial::All);
                prop_assert_eq!(&decode(encoder, &ids), text);
                prop_assert_eq!(ids, expected(encoder, text));
            }
        }
    }
}

#[test]
fn one_cache_serves_many_texts() {
    let encoder = encoder("gpt2");
    let mut state = 1u64;
    let mut text = Vec::new();
    for _ in 0..50_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = (state >> 40) % 100_000;
        text.extend_from_slice(format!(" {number} t{number}est").as_bytes());
    }
    // More distinct pretokens than slots: they drive each other out.
    assert_eq!(encode(&encoder, &text, &AllowedSpecial::All), expected(&encoder, &text));
    assert_eq!(encode(&encoder, &text, &AllowedSpecial::All), expected(&encoder, &text));
}

#[test]
fn a_pretoken_of_a_megabyte() {
    let encoder = whole(trained(&[b"a".repeat(64)], 100, Vec::new()));
    let begun = std::time::Instant::now();
    let ids = encode(&encoder, &b"a".repeat(1 << 20), &AllowedSpecial::All);
    assert_eq!(ids.len(), (1 << 20) / 64);
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn special_tokens_that_are_allowed() {
    let encoder = encoder("gpt2");
    let text = b"a<|end|><|end|>b<|end|>";
    let id = |token: &[u8]| {
        let mut special = encoder.vocabulary().special_tokens().iter();
        special.find(|(known, _)| known == token).map(|(_, id)| *id).unwrap()
    };
    let (one, two) = (id(b"<|end|>"), id(b"<|end|><|end|>"));
    let [a, b] = b"ab".map(|byte| encoder.vocabulary().byte_id(byte));
    assert_eq!(encode(&encoder, text, &AllowedSpecial::All), [a, two, b, one]);
    let only = encoder.allow(&["<|end|>"]).unwrap();
    assert_eq!(encode(&encoder, text, &only), [a, one, one, b, one]);
    let none = encoder.allow::<&[u8]>(&[]).unwrap();
    let ids = encode(&encoder, text, &none);
    assert!(!ids.contains(&one) && !ids.contains(&two));
    assert_eq!(decode(&encoder, &ids), text);
    let both = encoder.allow(&["<|end|><|end|>", "<|end|>"]).unwrap();
    assert_eq!(encode(&encoder, text, &both), [a, two, b, one]);
    let error = encoder.allow(&["<|other|>"]).unwrap_err().to_string();
    assert!(error.contains("\"<|other|>\" is no special token of this tokenizer"), "{error}");
    assert!(encoder.allow(&["<|end|>", "<|end|>"]).is_err());
}

#[test]
fn ids_outside_the_vocabulary_are_named() {
    let encoder = encoder("gpt2");
    let size = encoder.vocabulary().len() as u32;
    for id in [size, u32::MAX] {
        let error = encoder.decode(&[0, 1, id, 2], &mut Vec::new()).unwrap_err().to_string();
        let last = size - 1;
        assert!(error.contains(&format!("id {id} at position 2")), "{error}");
        assert!(error.contains(&format!("ids are 0 .. {last}")), "{error}");
    }
}

#[test]
fn counted_pretokens_become_as_many_ids() {
    let encoder = encoder("gpt2");
    let mut counts = Counts::new();
    let mut sum = 0;
    for (count, pretoken) in (1..).zip(["text", " tests", "日本語", "x", "aaaaaaaaaaaaaaaaaaaaaaa"])
    {
        counts.add(pretoken.as_bytes(), count);
        let all = AllowedSpecial::All;
        sum += count * encode(&encoder, pretoken.as_bytes(), &all).len() as u64;
    }
    assert_eq!(encoder.count_tokens(&counts, &Monitor::new()).unwrap(), sum);
    let error = encoder.count_tokens(&counts, &cancelled()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    counts.add(b"xy", u64::MAX);
    assert_eq!(encoder.count_tokens(&counts, &Monitor::new()).unwrap(), u64::MAX);
}

#[test]
fn many_threads_encode_at_once() {
    let encoder = encoder("gpt2");
    let expected = expected(&encoder, TEXT.as_bytes());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let ids = encode(&encoder, TEXT.as_bytes(), &AllowedSpecial::All);
                    assert_eq!(ids, expected);
                }
            });
        }
    });
}

mod stream {
    use super::*;

    /// A vocabulary of 65,536 and so many more ids.
    fn large(beyond: usize) -> Encoder {
        let fill = (256..65_536 + beyond).map(|id| format!("<{id}>").into_bytes());
        let tokens = (0..=255).map(|byte| vec![byte]).chain(fill);
        let vocabulary = Vocabulary::new((0..).zip(tokens).collect(), Vec::new(), &[]).unwrap();
        Encoder::new(vocabulary, Pretokenizer::new("gpt2").unwrap()).unwrap()
    }

    fn options(num_threads: usize, piece_size: usize) -> EncodeOptions {
        EncodeOptions { num_threads: Some(num_threads), piece_size, ..EncodeOptions::default() }
    }

    fn run(
        encoder: &Encoder,
        inputs: &[PathBuf],
        output: &Path,
        options: &EncodeOptions,
    ) -> Result<EncodeStats> {
        encoder.encode_files(inputs, output, options, &Monitor::new())
    }

    /// The bytes of each id and the ids of a numpy file, by the format's description.
    fn read_npy(path: &Path) -> (usize, Vec<u32>) {
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert_eq!((10 + length) % 64, 0, "the data is not aligned");
        let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
        assert!(header.ends_with('\n') && header.is_ascii());
        let field = |name: &str| {
            let (_, value) = header.split_once(&format!("'{name}': ")).unwrap();
            value
        };
        assert!(field("fortran_order").starts_with("False"));
        let width = match &field("descr")[..5] {
            "'<u2'" => 2,
            "'<u4'" => 4,
            other => panic!("not a type of ids: {other}"),
        };
        let (shape, _) = field("shape").strip_prefix('(').unwrap().split_once(",)").unwrap();
        let data = &bytes[10 + length..];
        assert_eq!(data.len(), shape.parse::<usize>().unwrap() * width);
        (width, ids(data, width))
    }

    fn ids(data: &[u8], width: usize) -> Vec<u32> {
        let wide = |id: &[u8]| id.iter().rev().fold(0, |wide, &b| wide << 8 | u32::from(b));
        data.chunks_exact(width).map(wide).collect()
    }

    #[test]
    fn threads_and_pieces_do_not_change_the_ids() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = encoder("gpt2");
        let texts = [TEXT.repeat(3), String::new(), "x".repeat(200), TEXT.replace(' ', "  ")];
        let inputs: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(i, text)| file(folder.path(), &i.to_string(), text.as_bytes()))
            .collect();
        let output = folder.path().join("ids.bin");
        let expected: Vec<u32> =
            texts.iter().flat_map(|text| expected(&encoder, text.as_bytes())).collect();
        for piece_size in 1..=64 {
            let options = options(1 + piece_size % 8, piece_size);
            let stats = run(&encoder, &inputs, &output, &options).unwrap();
            let found = ids(&std::fs::read(&output).unwrap(), 2);
            assert_eq!(found, expected, "{options:?}");
            let (tokens, bytes) = (expected.len() as u64, texts.concat().len() as u64);
            let documents = None;
            assert_eq!(stats, EncodeStats { tokens, bytes, dtype: Dtype::U16, documents });
        }
    }

    #[test]
    fn other_patterns_too() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = [file(folder.path(), "text", TEXT.repeat(2).as_bytes())];
        for pattern in ["cl100k", "o200k", "llama3", "qwen2", r"\w+|\W"] {
            let encoder = encoder(pattern);
            let expected = expected(&encoder, TEXT.repeat(2).as_bytes());
            for piece_size in [1, 5, 32, 1000] {
                let output = folder.path().join("ids.npy");
                run(&encoder, &inputs, &output, &options(2, piece_size)).unwrap();
                assert_eq!(read_npy(&output), (2, expected.clone()), "{pattern}, {piece_size}");
            }
        }
    }

    #[test]
    fn the_type_follows_the_vocabulary_or_the_wish() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = [file(folder.path(), "text", b"some text")];
        let output = folder.path().join("ids.npy");
        let text: Vec<u32> = b"some text".iter().map(|&byte| byte.into()).collect();
        let (just, above) = (large(0), large(1));
        for (encoder, dtype, width) in [
            (&just, Dtype::Auto, 2),
            (&just, Dtype::U16, 2),
            (&just, Dtype::U32, 4),
            (&above, Dtype::Auto, 4),
            (&above, Dtype::U32, 4),
        ] {
            let options = EncodeOptions { dtype, ..EncodeOptions::default() };
            let stats = run(encoder, &inputs, &output, &options).unwrap();
            assert_eq!(read_npy(&output), (width, text.clone()));
            assert_eq!(stats.dtype, if width == 2 { Dtype::U16 } else { Dtype::U32 });
        }
        let narrow = EncodeOptions { dtype: Dtype::U16, ..EncodeOptions::default() };
        let error = run(&above, &inputs, &folder.path().join("no.npy"), &narrow).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("vocabulary has 65537; use uint32"), "{error}");
        assert_eq!(names(folder.path()), ["ids.npy", "text"]);
    }

    #[test]
    fn nothing_becomes_an_empty_array() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = [file(folder.path(), "text", b"")];
        let output = folder.path().join("ids.npy");
        let stats = run(&encoder("gpt2"), &inputs, &output, &options(2, 8)).unwrap();
        assert_eq!((stats.tokens, stats.bytes), (0, 0));
        assert_eq!(read_npy(&output), (2, Vec::new()));
    }

    #[test]
    fn progress_counts_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = [file(folder.path(), "text", TEXT.as_bytes())];
        let monitor = Monitor::new();
        let output = folder.path().join("ids.bin");
        encoder("gpt2").encode_files(&inputs, &output, &options(3, 8), &monitor).unwrap();
        assert_eq!(monitor.progress(), (TEXT.len() as u64, TEXT.len() as u64));
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let text = file(folder.path(), "text", TEXT.repeat(50).as_bytes());
        let inputs = std::slice::from_ref(&text);
        let at = |name: &str| folder.path().join(name);
        let encoder = encoder("gpt2");
        for name in ["ids", "ids.txt", "ids.npy.gz", ".npy"] {
            let error = run(&encoder, inputs, &at(name), &options(2, 64)).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(".npy (numpy) or .bin"), "{error}");
        }
        let error = run(&encoder, inputs, &at("missing/ids.bin"), &options(2, 64)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io(std::io::ErrorKind::NotFound));
        assert!(error.to_string().contains("missing/ids.bin"), "{error}");
        let error = run(&encoder, &[at("none")], &at("ids.bin"), &options(2, 64)).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
        let error = run(&encoder, inputs, &at("ids.bin"), &options(0, 64)).unwrap_err();
        assert!(error.to_string().contains("num_threads is 0"), "{error}");
        for threads in 1..=4 {
            let options = options(threads, 64);
            let stopped = encoder.encode_files(inputs, &at("ids.bin"), &options, &cancelled());
            assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
        }
        assert_eq!(names(folder.path()), ["text"]);
    }

    #[test]
    fn a_failure_on_the_way_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let output = file(folder.path(), "ids.bin", b"old");
        let good = file(folder.path(), "a", TEXT.as_bytes());
        let runaway = file(folder.path(), "b", &b"ab".repeat(4000));
        let inputs = [good.clone(), runaway, good];
        let pattern = r"(?:a|b|ab)*(?=c)(?<!x)|[^ab]+|\w";
        let encoder = encoder(pattern);
        for threads in 1..=4 {
            let error = run(&encoder, &inputs, &output, &options(threads, 64)).unwrap_err();
            assert!(error.to_string().contains("the pattern"), "{error}");
            assert_eq!(std::fs::read(&output).unwrap(), b"old");
            assert_eq!(names(folder.path()), ["a", "b", "ids.bin"]);
        }
    }

    #[test]
    fn the_output_may_be_an_input() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "ids.bin", TEXT.as_bytes());
        let encoder = encoder("gpt2");
        run(&encoder, std::slice::from_ref(&path), &path, &options(2, 8)).unwrap();
        let found = ids(&std::fs::read(&path).unwrap(), 2);
        assert_eq!(found, expected(&encoder, TEXT.as_bytes()));
    }
}
