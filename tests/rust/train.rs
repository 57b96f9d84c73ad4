use std::collections::HashSet;
use std::time::{Duration, Instant};

use byteloom::count::Counts;
use byteloom::train::{TieBreak, TrainOptions, train};
use byteloom::vocab::Vocabulary;
use byteloom::{ErrorKind, Monitor};
use proptest::prelude::*;

use crate::oracle;
use crate::support::{cancelled, config, over};

type Bytes = Vec<u8>;

fn options(vocab_size: usize) -> TrainOptions {
    TrainOptions {
        vocab_size,
        special_tokens: Vec::new(),
        tie_break: TieBreak::Bytes,
        min_frequency: 1,
    }
}

fn counts(words: &[(Bytes, u64)]) -> Counts {
    let mut counts = Counts::new();
    words.iter().for_each(|(word, count)| counts.add(word, *count));
    counts
}

fn check(words: &[(Bytes, u64)], options: &TrainOptions) -> Vocabulary {
    let monitor = Monitor::new();
    let vocabulary = train(&counts(words), options, &monitor).unwrap();
    let expected = oracle::train::train(words, options);
    assert_eq!(vocabulary.merges(), expected.merges);
    assert_eq!(vocabulary.tokens(), expected.tokens);
    let special: Vec<_> = options.special_tokens.iter().cloned().zip(0..).collect();
    assert_eq!(vocabulary.special_tokens(), special);
    // No bytes are made twice: up to any merge, those between two borders of tokens have been merged
    // alike wherever they stand, whatever stands beside them.
    let products: HashSet<Bytes> =
        vocabulary.merges().iter().map(|(left, right)| [left.as_slice(), right].concat()).collect();
    assert_eq!(vocabulary.merges().len(), products.len());
    let made = expected.tokens.len() - options.special_tokens.len() - 256;
    let wanted = options.vocab_size - options.special_tokens.len() - 256;
    assert_eq!(monitor.progress(), (made as u64, wanted as u64));
    vocabulary
}

/// Words of few letters: runs, pairs that overlap with themselves, ties, and words that contain others.
fn words() -> impl Strategy<Value = Vec<(Bytes, u64)>> {
    let letters = prop::sample::select(vec![&b"ab"[..], b"abc", b"abcd", b"\x00\xff", b"a \n\xc3"]);
    letters.prop_flat_map(|letters| {
        let run = (prop::sample::select(letters), 1usize..20).prop_map(|(c, n)| vec![c; n]);
        let word = prop_oneof![4 => over(letters, 1..12), 1 => over(letters, 12..50), 1 => run];
        prop::collection::vec((word, 1u64..6), 0..12)
    })
}

fn settings() -> impl Strategy<Value = TrainOptions> {
    let rule = prop::sample::select(vec![TieBreak::Bytes, TieBreak::HuggingFace, TieBreak::Ids]);
    // Special tokens that text may merge into, too.
    let special = prop::collection::hash_set(over(b"ab", 1..4), 0..3);
    (0usize..40, rule, special, 0u64..5).prop_map(|(more, tie_break, special, min_frequency)| {
        let special_tokens: Vec<_> = special.into_iter().collect();
        let vocab_size = 256 + special_tokens.len() + more;
        TrainOptions { vocab_size, special_tokens, tie_break, min_frequency }
    })
}

proptest! {
    #![proptest_config(config(4000))]

    #[test]
    fn merges_as_one_who_recounts_everything(words in words(), options in settings()) {
        check(&words, &options);
    }

    #[test]
    fn one_word_until_nothing_is_left(word in over(b"ab", 1..60), rule: bool) {
        let tie_break = if rule { TieBreak::Bytes } else { TieBreak::HuggingFace };
        let vocabulary = check(&[(word.clone(), 1)], &TrainOptions { tie_break, ..options(1000) });
        prop_assert!(vocabulary.tokens().contains(&word), "the word is a token in the end");
    }
}

#[test]
fn the_example_of_the_paper() {
    let words =
        [("low", 5), ("lower", 2), ("widest", 3), ("newest", 6)].map(|(w, n)| (w.into(), n));
    let vocabulary = check(&words, &options(256 + 6));
    let merges: Vec<_> = vocabulary.merges().iter().map(|(a, b)| [a.as_slice(), b]).collect();
    let expected = [["s", "t"], ["e", "st"], ["o", "w"], ["l", "ow"], ["w", "est"], ["n", "e"]];
    assert_eq!(merges, expected.map(|pair| pair.map(str::as_bytes)));
}

#[test]
fn the_tie_rules_differ() {
    // "Ab" and "é" (C3 A9): the greatest bytes, or the smallest ids of the alphabet; a space comes
    // behind all that can be seen.
    let words = ["Ab", "cd", "é", " x"].map(|word| (word.as_bytes().to_vec(), 1));
    let order = |tie_break| -> Vec<Bytes> {
        let vocabulary = check(&words, &TrainOptions { tie_break, ..options(260) });
        vocabulary.tokens()[256..].to_vec()
    };
    assert_eq!(order(TieBreak::Bytes), ["é", "cd", "Ab", " x"].map(str::as_bytes));
    assert_eq!(order(TieBreak::HuggingFace), ["Ab", "cd", "é", " x"].map(str::as_bytes));
    assert_eq!(order(TieBreak::Ids), [" x", "Ab", "cd", "é"].map(str::as_bytes));
}

#[test]
fn ties_of_tokens_that_begin_alike() {
    // More than eight bytes in common, and one the beginning of the other with zeros behind.
    let words = ["abcdefghijk1", "abcdefghijk2", "abcdefghijk\0", "abcdefghijk"];
    let words = words.map(|word| (word.as_bytes().to_vec(), 2));
    for tie_break in [TieBreak::Bytes, TieBreak::HuggingFace, TieBreak::Ids] {
        check(&words, &TrainOptions { tie_break, ..options(400) });
    }
}

#[test]
fn a_product_that_is_a_special_token_takes_no_place() {
    let special_tokens = vec![b"ab".to_vec(), b"a".to_vec()];
    let words = [(b"abc".to_vec(), 3), (b"ab".to_vec(), 3)];
    let vocabulary = check(&words, &TrainOptions { special_tokens, ..options(259) });
    assert_eq!(vocabulary.token(0), Some(&b"ab"[..]));
    assert_eq!(vocabulary.token(258), Some(&b"abc"[..]));
    let a = 2 + u32::from(b'a');
    assert_eq!(vocabulary.byte_id(b'a'), a, "the bytes are always there for themselves");
    assert_eq!(vocabulary.merge_ids().collect::<Vec<_>>(), [(a, a + 1, 0), (0, a + 2, 258)]);
}

#[test]
fn min_frequency_is_the_least_that_is_merged() {
    let words = [("ab", 5), ("cd", 4), ("ef", 3)].map(|(w, n)| (w.as_bytes().to_vec(), n));
    for (min_frequency, merges) in [(0, 3), (1, 3), (3, 3), (4, 2), (5, 1), (6, 0)] {
        let vocabulary = check(&words, &TrainOptions { min_frequency, ..options(300) });
        assert_eq!(vocabulary.merges().len(), merges, "at least {min_frequency}");
    }
}

#[test]
fn counts_may_pass_32_bits() {
    let words = [("ab", 1u64 << 40), ("bc", (1 << 40) + 1), ("abc", 1 << 33), ("cc", 1 << 61)];
    check(&words.map(|(word, count)| (word.into(), count)), &options(270));
}

#[test]
fn counts_that_may_not_be_added_up_are_refused() {
    for words in [vec![("ab", u64::MAX)], vec![("ab", 1 << 61), ("cd", 1 << 61)]] {
        let words: Vec<_> = words.into_iter().map(|(w, n)| (w.as_bytes().to_vec(), n)).collect();
        let error = train(&counts(&words), &options(300), &Monitor::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("the counts are too large"), "{error}");
    }
    // Single bytes have no pairs.
    check(&[(b"a".to_vec(), u64::MAX), (b"bc".to_vec(), 1)], &options(300));
}

#[test]
fn nothing_to_train_on_gives_the_bytes() {
    let vocabulary = check(&[], &options(1000));
    assert_eq!((vocabulary.len(), vocabulary.merges().len()), (256, 0));
}

#[test]
fn refuses_a_vocabulary_that_is_too_small_or_too_large() {
    let message = |options: &TrainOptions| {
        train(&Counts::new(), options, &Monitor::new()).unwrap_err().to_string()
    };
    let small = message(&options(255));
    assert!(small.contains("a vocabulary of 255 is too small: 256 bytes and 0 special"), "{small}");
    let special_tokens = vec![b"<a>".to_vec(), b"<b>".to_vec()];
    let small = message(&TrainOptions { special_tokens, ..options(257) });
    assert!(small.contains("256 bytes and 2 special tokens need 258"), "{small}");
    let large = message(&options(usize::MAX));
    assert!(large.contains("is too large"), "{large}");
    let twice = message(&TrainOptions { special_tokens: vec![vec![1], vec![1]], ..options(300) });
    assert!(twice.contains("is given twice"), "{twice}");
}

#[test]
fn stops_when_it_is_told_to() {
    let error = train(&counts(&[(b"ab".to_vec(), 1)]), &options(300), &cancelled()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn one_word_of_a_megabyte() {
    let limit = Duration::from_secs(2);
    let timed = |word: Bytes, vocab_size| {
        let begun = Instant::now();
        let counts = counts(&[(word, 1)]);
        let vocabulary = train(&counts, &options(vocab_size), &Monitor::new()).unwrap();
        assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
        vocabulary
    };
    let run = timed(vec![b'a'; 1 << 20], 300);
    assert_eq!(run.len(), 256 + 20, "each merge doubles the token, up to the whole word");
    let mut state = 1u32;
    let thrown = (0..1 << 20).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 28) as u8
    });
    assert_eq!(timed(thrown.collect(), 2000).len(), 2000);
}
