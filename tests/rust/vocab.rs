use byteloom::count::Counts;
use byteloom::train::{TieBreak, TrainOptions, train};
use byteloom::vocab::Vocabulary;
use byteloom::{ErrorKind, Monitor};
use proptest::prelude::*;

use crate::support::config;

type Bytes = Vec<u8>;

fn bytes() -> Vec<(u32, Bytes)> {
    (0..256).map(|byte| (byte, vec![byte as u8])).collect()
}

/// The bytes and then these tokens.
fn tokens(more: &[&str]) -> Vec<(u32, Bytes)> {
    let more = more.iter().map(|token| token.as_bytes().to_vec());
    bytes().into_iter().chain((256..).zip(more)).collect()
}

fn merges(pairs: &[(&str, &str)]) -> Vec<(Bytes, Bytes)> {
    pairs
        .iter()
        .map(|(left, right)| (left.as_bytes().to_vec(), right.as_bytes().to_vec()))
        .collect()
}

fn refusal(tokens: Vec<(u32, Bytes)>, pairs: &[(&str, &str)], special: &[&str]) -> String {
    let special: Vec<_> = special.iter().map(|token| token.as_bytes().to_vec()).collect();
    let error = Vocabulary::new(tokens, merges(pairs), &special).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    error.to_string()
}

#[test]
fn tokens_and_merges_by_id() {
    let mut shuffled = tokens(&["ab", "abc", "x"]);
    shuffled.reverse();
    let vocabulary =
        Vocabulary::new(shuffled, merges(&[("a", "b"), ("ab", "c")]), &[b"<e>".to_vec()]).unwrap();
    assert_eq!(vocabulary.len(), 260);
    assert_eq!(vocabulary.token(257), Some(&b"abc"[..]));
    assert_eq!(vocabulary.token(260), None);
    assert_eq!(vocabulary.byte_id(200), 200);
    assert_eq!(vocabulary.merge_ids().collect::<Vec<_>>(), [(97, 98, 256), (256, 99, 257)]);
    assert_eq!(vocabulary.special_tokens(), [(b"<e>".to_vec(), 259)]);
}

#[test]
fn special_tokens_are_found_or_appended() {
    let special = [&b"new"[..], b"there", b"a"].map(<[u8]>::to_vec);
    let vocabulary = Vocabulary::new(tokens(&["there", "x"]), Vec::new(), &special).unwrap();
    let expected = [(b"a".to_vec(), 97), (b"there".to_vec(), 256), (b"new".to_vec(), 258)];
    assert_eq!(vocabulary.special_tokens(), expected);
    // The only "a" there is: text needs it, too.
    assert_eq!(vocabulary.byte_id(b'a'), 97);
}

#[test]
fn of_equal_tokens_the_last_is_special_and_the_first_is_text() {
    let vocabulary =
        Vocabulary::new(tokens(&["ab", "ab", "a"]), merges(&[("a", "b")]), &[b"ab".to_vec()]);
    let vocabulary = vocabulary.unwrap();
    assert_eq!(vocabulary.special_tokens(), [(b"ab".to_vec(), 257)]);
    assert_eq!(vocabulary.merge_ids().collect::<Vec<_>>(), [(97, 98, 256)]);
    assert_eq!(vocabulary.byte_id(b'a'), 97, "the smaller id is encoded");
}

#[test]
fn refuses_ids_that_leave_gaps_or_repeat() {
    let mut gap = tokens(&["ab", "cd"]);
    gap[257].0 = 300;
    let message = refusal(gap, &[], &[]);
    assert!(message.contains("258 tokens, so ids must be 0 .. 257"), "{message}");
    assert!(message.contains("there is id 300 and no id 257"), "{message}");
    let mut twice = tokens(&["ab", "cd"]);
    twice[257].0 = 256;
    assert_eq!(refusal(twice, &[], &[]), "id 256 stands for two tokens");
}

#[test]
fn refuses_a_missing_byte() {
    let mut lacking = bytes();
    lacking[0xc3].1 = b"ab".to_vec();
    let message = refusal(lacking, &[], &[]);
    assert!(message.contains("lacks the single byte 195 (0xc3)"), "{message}");
    assert!(message.contains("initial_alphabet"), "{message}");
    assert!(refusal(Vec::new(), &[], &[]).contains("lacks the single byte 0"));
}

#[test]
fn refuses_merges_that_cannot_be() {
    let missing = refusal(tokens(&["ab"]), &[("a", "b"), ("ab", "xy")], &[]);
    assert_eq!(missing, "merge 1, \"ab\" + \"xy\": \"xy\" is not in the vocabulary");
    let product = refusal(tokens(&["ab"]), &[("a", "b"), ("ab", "c")], &[]);
    assert_eq!(product, "merge 1, \"ab\" + \"c\": their product \"abc\" is not in the vocabulary");
    let order = refusal(tokens(&["ab", "abc"]), &[("ab", "c"), ("a", "b")], &[]);
    assert_eq!(order, "merge 0, \"ab\" + \"c\": \"ab\" is made by no merge before this one");
    let mut invalid = tokens(&[]);
    invalid.push((256, b"a\xff".to_vec()));
    let merge = vec![(b"a\xff".to_vec(), b"b".to_vec())];
    let error = Vocabulary::new(invalid, merge, &[]).unwrap_err().to_string();
    assert!(error.contains("merge 0, 0x61ff + \"b\""), "{error}");
}

#[test]
fn refuses_empty_and_repeated_special_tokens() {
    assert_eq!(refusal(bytes(), &[], &["<e>", ""]), "special token 1 is empty");
    assert_eq!(refusal(bytes(), &[], &["<e>", "<e>"]), "special token \"<e>\" is given twice");
}

mod ranks {
    use super::*;

    fn ranks(vocabulary: &Vocabulary) -> Vec<(Bytes, u32)> {
        vocabulary.tokens().iter().cloned().zip(0..).collect()
    }

    fn trained(words: &[(String, u64)], vocab_size: usize) -> Vocabulary {
        let mut counts = Counts::new();
        words.iter().for_each(|(word, count)| counts.add(word.as_bytes(), *count));
        let options = TrainOptions {
            vocab_size,
            special_tokens: Vec::new(),
            tie_break: TieBreak::Bytes,
            min_frequency: 1,
        };
        train(&counts, &options, &Monitor::new()).unwrap()
    }

    proptest! {
        #![proptest_config(config(1000))]

        #[test]
        fn give_back_the_merges_of_training(
            words in prop::collection::vec(("[a-e]{1,12}|[ab]{1,30}", 1u64..20), 0..12), more in 0usize..40,
        ) {
            let vocabulary = trained(&words, 256 + more);
            let recovered = Vocabulary::from_ranks(ranks(&vocabulary), Vec::new()).unwrap();
            prop_assert_eq!(recovered, vocabulary);
        }
    }

    #[test]
    fn of_long_tokens_take_no_time() {
        // What training makes of one long word: ever longer tokens.
        let doubled = (1..=17).map(|n| b"ab".repeat(1 << n));
        let longest: Vec<Bytes> = std::iter::once(b"ab".to_vec()).chain(doubled).collect();
        let bytes = bytes().into_iter().map(|(id, token)| (token, id));
        let ranks = bytes.chain(longest.iter().cloned().zip(256..)).collect();
        let begun = std::time::Instant::now();
        let vocabulary = Vocabulary::from_ranks(ranks, Vec::new()).unwrap();
        let halves = longest.iter().map(|half| (half.clone(), half.clone()));
        let first = (b"a".to_vec(), b"b".to_vec());
        let merges: Vec<_> = std::iter::once(first).chain(halves).take(18).collect();
        assert_eq!(vocabulary.merges(), merges);
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    }

    #[test]
    fn special_tokens_keep_their_ids() {
        let mut ranks = ranks(&trained(&[("abab".into(), 3)], 258));
        ranks.reverse();
        let special = vec![(b"<b>".to_vec(), 259), (b"<a>".to_vec(), 258)];
        let vocabulary = Vocabulary::from_ranks(ranks, special).unwrap();
        let expected = [(b"<a>".to_vec(), 258), (b"<b>".to_vec(), 259)];
        assert_eq!(vocabulary.special_tokens(), expected);
        assert_eq!(vocabulary.merges(), merges(&[("a", "b"), ("ab", "ab")]));
    }

    #[test]
    fn refuse_what_no_merges_make() {
        let of = |more: &[&str]| {
            let ranks = tokens(more).into_iter().map(|(id, token)| (token, id)).collect();
            Vocabulary::from_ranks(ranks, Vec::new()).map_err(|error| error.to_string())
        };
        assert!(of(&["ab", "abc"]).is_ok());
        let error = of(&["ab", "abcd"]).unwrap_err();
        assert!(error.contains("token 257, \"abcd\": the ranks below it give 3 parts"), "{error}");
        let error = of(&["abc", "ab"]).unwrap_err();
        assert!(error.contains("token 256, \"abc\": the ranks below it give 3 parts"), "{error}");
        let mut gap: Vec<_> = tokens(&["ab"]).into_iter().map(|(id, token)| (token, id)).collect();
        gap[256].1 = 400;
        let error = Vocabulary::from_ranks(gap, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("there is id 400 and no id 256"), "{error}");
    }
}
