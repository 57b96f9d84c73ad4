use std::collections::HashMap;
use std::path::Path;

use byteloom::ErrorKind;
use byteloom::count::{Counts, CountsFile};
use proptest::prelude::*;

use crate::support::{config, file, names, over};

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
        assert!(message(&entries(2, &[0, 1, b'a', 1])).contains("cut short"));
        let header = |header: &[u8]| message(&forged(header, header.len() as u64, &[0; 8]));
        assert!(header(b"{").contains("the header is no JSON"));
        assert!(header(b"{}").contains("no pattern"));
        assert!(header(br#"{"pattern": "x"}"#).contains("no special_tokens"));
        let number = header(br#"{"pattern": "x", "special_tokens": [1]}"#);
        assert!(number.contains("a special token in the header is no string"));
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
}
