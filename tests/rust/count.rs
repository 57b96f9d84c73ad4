use std::collections::HashMap;
use std::path::Path;

use byteloom::count::{
    CountOptions, Counts, CountsFile, Pruned, add_files, count_files, count_texts,
};
use byteloom::pretokenize::Pretokenizer;
use byteloom::{ErrorKind, Monitor, Result};
use proptest::prelude::*;

use crate::support::{
    all_presets, cancelled, config, count_text, file, names, nasty, over, special_tokens,
};

type Oracle = HashMap<Vec<u8>, u64>;

/// Pretokens around the length at which they no longer fit into a key, alike and with zero bytes.
fn pretoken() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        over(b"ab", 0..5),
        over(b"a\0", 0..20),
        over(b"\0\xff", 12..18),
        prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn additions(count: usize) -> impl Strategy<Value = Vec<(Vec<u8>, u64)>> {
    let amount = prop_oneof![4 => 0u64..5, 1 => any::<u64>(), 1 => Just(u64::MAX)];
    prop::collection::vec((pretoken(), amount), 0..count)
}

fn oracle(additions: &[(Vec<u8>, u64)]) -> Oracle {
    let mut oracle = Oracle::new();
    for (pretoken, count) in additions.iter().filter(|(pretoken, _)| !pretoken.is_empty()) {
        let known = oracle.entry(pretoken.clone()).or_default();
        *known = known.saturating_add(*count);
    }
    oracle.retain(|_, count| *count > 0);
    oracle
}

fn counts(additions: &[(Vec<u8>, u64)]) -> Counts {
    let mut counts = Counts::new();
    additions.iter().for_each(|(pretoken, count)| counts.add(pretoken, *count));
    counts
}

fn check(counts: &Counts, oracle: &Oracle) {
    let mut expected: Vec<_> = oracle.iter().map(|(p, c)| (p.clone(), *c)).collect();
    expected.sort();
    assert_eq!(counts.sorted(), expected);
    assert_eq!((counts.len(), counts.is_empty()), (oracle.len(), oracle.is_empty()));
    assert!(oracle.iter().all(|(pretoken, count)| counts.get(pretoken) == *count));
    let mut visited = Oracle::new();
    counts.for_each(|pretoken, count| {
        assert!(visited.insert(pretoken.to_vec(), count).is_none(), "{pretoken:?} comes twice");
    });
    assert_eq!(&visited, oracle);
    let sum = |weight: &dyn Fn(&[u8]) -> u64| {
        let exact: u128 = oracle.iter().map(|(p, c)| u128::from(*c) * u128::from(weight(p))).sum();
        u64::try_from(exact).unwrap_or(u64::MAX)
    };
    assert_eq!(counts.total(), sum(&|_| 1));
    assert_eq!(counts.total_bytes(), sum(&|pretoken| pretoken.len() as u64));
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn counts_as_a_map_does(additions in additions(60)) {
        check(&counts(&additions), &oracle(&additions));
    }

    #[test]
    fn merging_adds(one in additions(40), other in additions(40)) {
        let mut merged = counts(&one);
        merged.merge(&counts(&other));
        check(&merged, &oracle(&[one, other].concat()));
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn texts_count_as_one_by_one(texts in prop::collection::vec(nasty(0..60), 0..9), threads in 1..4usize) {
        let special = special_tokens(&["<|a|>"]);
        for (_, pretokenizer) in all_presets() {
            let mut expected = Counts::new();
            for text in &texts {
                count_text(text, pretokenizer, &special, &mut expected);
            }
            let found =
                count_texts(&texts, pretokenizer, &special, Some(threads), &Monitor::new()).unwrap();
            prop_assert_eq!(found.sorted(), expected.sorted());
        }
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn a_file_gives_back_what_was_saved(
        additions in additions(40), pattern in ".{0,20}", special in prop::collection::vec(".{0,9}", 0..3),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts");
        let saved = CountsFile { pattern, special_tokens: special, counts: counts(&additions) };
        saved.save(&path).unwrap();
        let loaded = CountsFile::load(&path).unwrap();
        prop_assert_eq!(loaded.counts.sorted(), saved.counts.sorted());
        prop_assert_eq!(loaded.pattern, saved.pattern);
        prop_assert_eq!(loaded.special_tokens, saved.special_tokens);
        prop_assert_eq!(names(folder.path()), ["counts"]);
    }
}

#[test]
fn grows_with_the_distinct_pretokens() {
    let mut counts = Counts::new();
    let mut map = Oracle::new();
    for number in 0..30_000u32 {
        let pretoken = number.to_string().repeat(1 + number as usize % 4).into_bytes();
        for _ in 0..1 + number % 3 {
            counts.add(&pretoken, 1);
            *map.entry(pretoken.clone()).or_default() += 1;
        }
    }
    check(&counts, &map);
    assert_eq!(counts.get(b"30000"), 0);
    assert_eq!(counts.get(b"a pretoken that is not there"), 0);
}

#[test]
fn counts_stop_at_the_largest_number() {
    let mut counts = Counts::new();
    for pretoken in [&b"short"[..], b"a long one, of more than fifteen bytes"] {
        counts.add(pretoken, u64::MAX - 1);
        counts.add(pretoken, 1);
        assert_eq!(counts.get(pretoken), u64::MAX);
        counts.add(pretoken, u64::MAX);
        assert_eq!(counts.get(pretoken), u64::MAX);
    }
    let other = counts.clone();
    counts.merge(&other);
    assert_eq!((counts.get(b"short"), counts.total(), counts.len()), (u64::MAX, u64::MAX, 2));
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn parts_are_what_a_list_gives(additions in additions(60), n in 0..20usize, least in 0..6u64) {
        let counts = counts(&additions);
        let mut ranked = counts.sorted();
        ranked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        ranked.truncate(n);
        prop_assert_eq!(&counts.most_common(n), &ranked);
        ranked.sort();
        prop_assert_eq!(counts.top(n).sorted(), ranked);
        let mut frequent = counts.sorted();
        frequent.retain(|(_, count)| *count >= least);
        prop_assert_eq!(counts.filtered(|_, count| count >= least).sorted(), frequent);
    }
}

/// Counting with a memory limit.
mod limited {
    use super::*;

    /// Words of few and of many bytes, each as often as chance has it: rare ones are many.
    fn words(distinct: u32) -> impl Strategy<Value = Vec<u8>> {
        let word = (any::<u64>(), 0..10u32).prop_map(move |(random, power)| {
            let word = (random % u64::from(distinct >> power).max(1)).to_string();
            if random % 5 == 0 {
                format!(" {word} and long letters ").replace(' ', "x") + &word
            } else {
                word
            }
        });
        prop::collection::vec(word, 1..12_000).prop_map(|words| words.join(" ").into_bytes())
    }

    fn count(
        text: &[u8],
        threads: usize,
        piece_size: usize,
        room: Option<usize>,
    ) -> Result<Counts> {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "text", text);
        let pretokenizer = Pretokenizer::new("gpt2").unwrap();
        let mut options =
            CountOptions { num_threads: Some(threads), piece_size, ..CountOptions::default() };
        options.memory_limit = room.map(|room| options.least_memory(threads) + room);
        count_files(&[path], &pretokenizer, &special_tokens(&[]), &options, &Monitor::new())
    }

    /// Checks that some counts are all those of others that are frequent enough.
    fn check_pruned(all: &Counts, pruned: &Counts) {
        let Some(Pruned { pretokens, occurrences, below }) = pruned.pruned() else {
            assert_eq!(pruned.sorted(), all.sorted());
            return;
        };
        let (kept, left): (Vec<_>, Vec<_>) =
            all.sorted().into_iter().partition(|(_, count)| *count >= below);
        assert_eq!(pruned.sorted(), kept);
        assert_eq!(pretokens, left.len() as u64);
        assert_eq!(occurrences, left.iter().map(|(_, count)| count).sum::<u64>());
        assert!(pretokens > 0);
    }

    proptest! {
        #![proptest_config(config(40))]

        #[test]
        fn spilling_changes_nothing_and_pruning_says_what(
            text in words(6000), threads in 1..4usize, piece_size in 1000..100_000usize,
            room in 0..400_000usize,
        ) {
            let all = count(&text, 1, 1 << 20, None).unwrap();
            let limited = count(&text, threads, piece_size, Some(room)).unwrap();
            // What nothing takes, a few bytes aside, is always there.
            prop_assert!(limited.memory() <= room + (1 << 16));
            check_pruned(&all, &limited);
            prop_assert!(limited.pruned().is_none() || all.memory() > room / 2);
        }
    }

    #[test]
    fn as_much_as_fits_is_kept() {
        // 2 to the 14 words that occur once, and half as many twice, and half of those three times ...
        let mut text = String::new();
        for power in 0..14 {
            (0..1 << power).for_each(|word| text.push_str(&format!(" {word}")));
        }
        let all = count(text.as_bytes(), 1, 1 << 20, None).unwrap();
        let room = |below: u64| all.filtered(|_, count| count >= below).memory();
        for below in [2, 3, 4] {
            let limited = count(text.as_bytes(), 1, 1 << 16, Some(room(below) / 4 * 5)).unwrap();
            let pruned = limited.pruned().unwrap();
            assert!(pruned.below <= below + 1, "{pruned:?} for {below}");
            check_pruned(&all, &limited);
        }
        assert_eq!(count(text.as_bytes(), 1, 1 << 16, Some(room(0) * 4)).unwrap().pruned(), None);
    }

    #[test]
    fn a_limit_below_what_threads_need_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "text", b"text");
        let count = |num_threads, memory_limit| {
            let options = CountOptions {
                num_threads,
                memory_limit: Some(memory_limit),
                ..CountOptions::default()
            };
            let pretokenizer = Pretokenizer::new("gpt2").unwrap();
            let special = special_tokens(&[]);
            count_files(
                std::slice::from_ref(&path),
                &pretokenizer,
                &special,
                &options,
                &Monitor::new(),
            )
        };
        let least = CountOptions::default().least_memory(1);
        let error = count(Some(1), least - 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(&format!("{least} is the least")), "{error}");
        assert!(count(Some(100), least * 2).is_err());
        // Nobody asked for more threads than fit.
        assert_eq!(count(None, least).unwrap().get(b"text"), 1);
    }
}

mod saved {
    use super::*;

    fn example() -> CountsFile {
        let words = ["a", "b", "bb", "bba", "fifteen-bytes-:", "sixteen-bytes-::", "\0", "ü"];
        let mut counts = Counts::new();
        words.iter().zip(1..).for_each(|(word, n)| counts.add(word.as_bytes(), n * n * n * 1000));
        counts.add(&[0xff; 40], u64::MAX);
        CountsFile { pattern: "gpt2".into(), special_tokens: vec!["<|e|>".into()], counts }
    }

    fn bytes(counts: &CountsFile) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts");
        counts.save(&path).unwrap();
        std::fs::read(path).unwrap()
    }

    /// A file of these parts with a checksum that is right.
    fn forged(header: &[u8], header_len: u64, rest: &[u8]) -> Vec<u8> {
        let mut bytes = b"byteloom counts\n\x01\0\0\0".to_vec();
        bytes.extend(header_len.to_le_bytes());
        bytes.extend(header);
        bytes.extend(rest);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    const HEADER: &[u8] = br#"{"pattern":"gpt2","special_tokens":[]}"#;

    fn entries(count: u64, entries: &[u8]) -> Vec<u8> {
        forged(HEADER, HEADER.len() as u64, &[&count.to_le_bytes(), entries].concat())
    }

    #[test]
    fn the_same_counts_are_the_same_bytes() {
        let mut backwards = Counts::new();
        for (pretoken, count) in example().counts.sorted().into_iter().rev() {
            backwards.add(&pretoken, count - 1);
            backwards.add(&pretoken, 1);
        }
        assert_eq!(bytes(&CountsFile { counts: backwards, ..example() }), bytes(&example()));
    }

    #[test]
    fn refuses_every_truncation_and_every_addition() {
        let whole = bytes(&example());
        assert!(CountsFile::parse(&whole).is_ok());
        for length in 0..whole.len() {
            assert!(CountsFile::parse(&whole[..length]).is_err(), "{length} of {}", whole.len());
        }
        for more in [&b"\0"[..], b"\0\0\0\0", b"more"] {
            assert!(CountsFile::parse(&[&whole, more].concat()).is_err());
        }
    }

    #[test]
    fn refuses_every_changed_byte() {
        let whole = bytes(&example());
        for at in 0..whole.len() {
            for change in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                let mut changed = whole.clone();
                changed[at] ^= change;
                assert!(CountsFile::parse(&changed).is_err(), "byte {at} ^ {change}");
            }
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let message = |bytes: &[u8]| CountsFile::parse(bytes).unwrap_err();
        assert_eq!(message(b""), "this is no file of pretoken counts");
        assert_eq!(message(b"{\"version\": \"1.0\"}"), "this is no file of pretoken counts");
        let mut later = bytes(&example());
        later[16] = 2;
        assert!(message(&later).contains("version 2 of the format is not known, only 1 is"));
        let mut damaged = bytes(&example());
        damaged[100] ^= 1;
        assert!(message(&damaged).contains("the checksum is wrong"));
        assert!(message(&entries(0, b"x")).contains("bytes after the last entry"));
        assert!(message(&entries(1, &[1, 1, b'a', 1])).contains("repeats what is not there"));
        assert!(message(&entries(1, &[0xff; 12])).contains("too many digits"));
        for second in [&[1, 0, 1][..], &[0, 1, b'a', 1], &[0, 1, b'A', 1]] {
            let bytes = entries(2, &[&[0, 1, b'a', 1], second].concat());
            assert!(message(&bytes).contains("out of order"), "{second:?}");
        }
        assert!(message(&entries(1, &[0, 0, 1])).contains("out of order"));
        assert!(message(&entries(1, &[0, 1, b'a', 0])).contains("is 0"));
        assert!(message(&entries(2, &[0, 1, b'a', 1])).contains("cut short"));
        let header = |header: &[u8]| message(&forged(header, header.len() as u64, &[0; 8]));
        assert!(header(b"{").contains("the header is no JSON"));
        assert!(header(b"{}").contains("no pattern"));
        assert!(header(br#"{"pattern": "x"}"#).contains("no special_tokens"));
        let number = header(br#"{"pattern": "x", "special_tokens": [1]}"#);
        assert!(number.contains("a special token in the header is no string"));
        let pruned = header(br#"{"pattern": "x", "special_tokens": [], "pruned": {"below": -1}}"#);
        assert!(pruned.contains("pruned in the header is no numbers"));
    }

    #[test]
    fn absurd_lengths_are_refused_before_memory_is_asked_for() {
        for absurd in [u64::MAX, u64::MAX / 2, 1 << 62, 1 << 40] {
            assert!(CountsFile::parse(&forged(HEADER, absurd, &[0; 8])).is_err());
            assert!(CountsFile::parse(&entries(absurd, &[0, 1, b'a', 1])).is_err());
        }
        // Shared, fresh and count as numbers of ten digits: 2^64 - 1.
        let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert!(CountsFile::parse(&entries(1, &largest)).is_err());
        assert!(CountsFile::parse(&entries(1, &[&[0][..], &largest].concat())).is_err());
        let counted = CountsFile::parse(&entries(1, &[&[0, 1, b'a'][..], &largest].concat()));
        assert_eq!(counted.unwrap().counts.get(b"a"), u64::MAX);
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "text.txt", b"no counts");
        let error = CountsFile::load(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("text.txt: this is no file"), "{error}");
        let error = CountsFile::load(Path::new("/no/such/counts")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io(std::io::ErrorKind::NotFound));
        assert!(error.to_string().contains("/no/such/counts"), "{error}");
        let error = example().save(&folder.path().join("none/counts")).unwrap_err();
        assert!(error.to_string().contains("none/counts"), "{error}");
    }

    #[test]
    fn what_was_left_out_is_kept() {
        let saved = CountsFile { counts: pruned_example(), ..example() };
        let loaded = CountsFile::parse(&bytes(&saved)).unwrap();
        assert!(loaded.counts.pruned().is_some());
        assert_eq!(loaded.counts.pruned(), saved.counts.pruned());
    }

    /// Counts of which something was left out.
    fn pruned_example() -> Counts {
        let folder = tempfile::tempdir().unwrap();
        let mut counts = Counts::new();
        (0..100_000u64).for_each(|n| counts.add(n.to_string().as_bytes(), 1 + n % 100));
        let path = folder.path().join("counts");
        CountsFile { counts, ..example() }.save(&path).unwrap();
        CountsFile::load_sum(&[path], Some(5 << 20), &Monitor::new()).unwrap().counts
    }

    proptest! {
        #![proptest_config(config(10))]

        #[test]
        fn sums_of_files_are_sums_of_counts(
            parts in prop::collection::vec(additions(20), 1..24), limited in any::<bool>(),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut paths = Vec::new();
            for (number, part) in parts.iter().enumerate() {
                paths.push(folder.path().join(number.to_string()));
                let counts = counts(part);
                CountsFile { counts, ..example() }.save(&paths[number]).unwrap();
            }
            let sums = oracle(&parts.concat());
            let limit = limited.then_some(1 << 24);
            let loaded = CountsFile::load_sum(&paths, limit, &Monitor::new()).unwrap();
            check(&loaded.counts, &sums);
            prop_assert_eq!(loaded.counts.pruned(), None);

            // Into one of them.
            let added = add_files(&paths, &paths[0], &Monitor::new()).unwrap();
            let loaded = CountsFile::load(&paths[0]).unwrap();
            check(&loaded.counts, &sums);
            prop_assert_eq!(loaded.special_tokens, example().special_tokens);
            prop_assert_eq!(added.pretokens, sums.len() as u64);
            prop_assert_eq!(added.occurrences, loaded.counts.total());
            prop_assert_eq!(names(folder.path()).len(), parts.len());
        }
    }

    #[test]
    fn a_sum_is_the_file_of_the_sum() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("a"), folder.path().join("b")];
        let (mut one, mut other) = (Counts::new(), Counts::new());
        for (at, (pretoken, count)) in example().counts.sorted().into_iter().enumerate() {
            if at % 2 == 0 { &mut one } else { &mut other }.add(&pretoken, count);
        }
        for (path, counts) in paths.iter().zip([one, other]) {
            CountsFile { counts, ..example() }.save(path).unwrap();
        }
        let sum = folder.path().join("sum");
        add_files(&paths, &sum, &Monitor::new()).unwrap();
        assert_eq!(std::fs::read(sum).unwrap(), bytes(&example()));
    }

    #[test]
    fn files_that_cannot_be_added_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        example().save(&path("good")).unwrap();
        CountsFile { pattern: "cl100k".into(), ..example() }.save(&path("pattern")).unwrap();
        CountsFile { special_tokens: vec![], ..example() }.save(&path("special")).unwrap();
        let mut damaged = bytes(&example());
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        file(folder.path(), "damaged", &damaged);
        let before = names(folder.path());
        let refused = |other: &str| {
            let inputs = [path("good"), path(other)];
            for limit in [None, Some(1 << 24)] {
                assert!(CountsFile::load_sum(&inputs, limit, &Monitor::new()).is_err());
            }
            let error = add_files(&inputs, &path("sum"), &Monitor::new()).unwrap_err();
            assert_eq!(names(folder.path()), before);
            error.to_string()
        };
        assert!(refused("pattern").contains("different patterns"));
        assert!(refused("special").contains("different special tokens"));
        assert!(refused("damaged").contains("damaged: the checksum is wrong"));
        assert!(refused("missing").contains("missing"));
        assert!(add_files(&[], &path("sum"), &Monitor::new()).is_err());
        let inputs = [path("good"), path("good")];
        let error = add_files(&inputs, &path("sum"), &cancelled()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert_eq!(names(folder.path()), before);
    }
}
