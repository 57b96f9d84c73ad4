use byteloom::special::{Segment, SpecialTokens};
use proptest::prelude::*;

use crate::oracle;
use crate::support::{config, over, special_tokens};

/// Distinct tokens over two letters: they overlap, and begin with each other.
fn overlapping() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::hash_set(over(b"ab", 1..5), 0..6)
        .prop_map(|tokens| tokens.into_iter().collect())
}

proptest! {
    #![proptest_config(config(4000))]

    #[test]
    fn splits_as_defined(tokens in overlapping(), text in over(b"abc", 0..24)) {
        let special = SpecialTokens::new(&tokens).unwrap();
        let segments: Vec<_> = special.split(&text).collect();
        prop_assert_eq!(&segments, &oracle::split::special(&tokens, &text));
        let joined: Vec<u8> = segments.iter().flat_map(|segment| match segment {
            Segment::Text(text) => text.to_vec(),
            Segment::Special(index) => tokens[*index].clone(),
        }).collect();
        prop_assert_eq!(joined, text);
    }

    #[test]
    fn knows_where_an_occurrence_lies_across(tokens in overlapping(), text in over(b"abc", 0..16)) {
        let special = SpecialTokens::new(&tokens).unwrap();
        for at in 0..=text.len() {
            let across = (0..at).any(|start| {
                tokens.iter().any(|t| text[start..].starts_with(t) && start + t.len() > at)
            });
            prop_assert_eq!(special.straddled(&text, at), across, "at {}", at);
        }
    }

    #[test]
    fn borders_split_alike_on_both_sides(tokens in overlapping(), text in over(b"abc", 0..16)) {
        let special = SpecialTokens::new(&tokens).unwrap();
        let segments: Vec<_> = special.split(&text).collect();
        for limit in 0..=text.len() {
            if let Some(at) = special.last_border(&text, limit) {
                prop_assert!(0 < at && at <= limit);
                let (before, after) = text.split_at(at);
                let parts: Vec<_> = special.split(before).chain(special.split(after)).collect();
                prop_assert_eq!(&parts, &segments, "at {}", at);
            }
        }
    }
}

#[test]
fn the_longest_of_those_that_begin_at_the_leftmost_place_wins() {
    let special = special_tokens(&["<|a|>", "<|a|><|a|>", "a|><|a|><|a"]);
    let segments: Vec<_> = special.split(b"<|a|><|a|><|a|>|").collect();
    assert_eq!(segments, [Segment::Special(1), Segment::Special(0), Segment::Text(b"|")]);
    assert_eq!(special.max_len(), 11);
}

#[test]
fn without_tokens_there_is_only_text() {
    let special = SpecialTokens::new::<&[u8]>(&[]).unwrap();
    assert!(special.is_empty() && special.tokens().is_empty());
    assert_eq!(special.max_len(), 0);
    assert_eq!(special.split(b"<|a|>").collect::<Vec<_>>(), [Segment::Text(b"<|a|>")]);
    assert_eq!(special.split(b"").count(), 0);
    assert!(!special.straddled(b"abc", 1));
    assert_eq!(special.last_border(b"abc", 3), None);
}

#[test]
fn tokens_need_not_be_text() {
    let special = SpecialTokens::new(&[&b"\xff\x00"[..], b"\x00"]).unwrap();
    let segments: Vec<_> = special.split(b"\x00\xff\x00\xff").collect();
    assert_eq!(segments, [Segment::Special(1), Segment::Special(0), Segment::Text(b"\xff")]);
}

#[test]
fn refuses_empty_and_repeated_tokens_by_name() {
    let message = |tokens: &[&str]| SpecialTokens::new(tokens).unwrap_err().to_string();
    assert_eq!(message(&["<|a|>", ""]), "special token 1 is empty");
    assert_eq!(message(&["<|a|>", "x", "<|a|>"]), "special token \"<|a|>\" is given twice");
}
