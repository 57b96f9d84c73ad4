//! Training by the definition: count every pair, merge the best, forget the counts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use byteloom::train::{TieBreak, TrainOptions};

type Bytes = Vec<u8>;

/// What training gives.
pub struct Trained {
    /// Tokens in the order of their ids.
    pub tokens: Vec<Bytes>,
    /// Merges in the order of creation.
    pub merges: Vec<(Bytes, Bytes)>,
}

/// Trains on words and their counts.
pub fn train(words: &[(Bytes, u64)], options: &TrainOptions) -> Trained {
    let mut words: Vec<(Vec<Bytes>, u64)> = words
        .iter()
        .map(|(word, count)| (word.iter().map(|&byte| vec![byte]).collect(), *count))
        .collect();
    let mut tokens = options.special_tokens.clone();
    tokens.extend((0..=255).map(|byte| vec![byte]));
    let alphabet = match options.tie_break {
        TieBreak::HuggingFace => huggingface_alphabet(),
        TieBreak::Bytes | TieBreak::Ids => (0..=255).collect(),
    };
    let alphabet = alphabet.into_iter().map(|byte| vec![byte]);
    let mut ranks: HashMap<Bytes, usize> = alphabet.zip(0..).collect();
    let mut merges = Vec::new();
    while tokens.len() < options.vocab_size {
        let mut counts: BTreeMap<(&Bytes, &Bytes), u64> = BTreeMap::new();
        for (word, count) in &words {
            for pair in word.windows(2) {
                *counts.entry((&pair[0], &pair[1])).or_default() += count;
            }
        }
        let often = counts.into_iter().filter(|(_, count)| *count >= options.min_frequency.max(1));
        let best = match options.tie_break {
            TieBreak::Bytes => often.max_by_key(|&(pair, count)| (count, pair)),
            TieBreak::HuggingFace | TieBreak::Ids => often.max_by_key(|&((left, right), count)| {
                (count, Reverse((ranks[left], ranks[right])))
            }),
        };
        let Some(((left, right), _)) = best else { break };
        let (left, right) = (left.clone(), right.clone());
        for (word, _) in &mut words {
            *word = replace(word, &left, &right);
        }
        let product = [left.as_slice(), &right].concat();
        let next = ranks.len();
        ranks.entry(product.clone()).or_insert(next);
        if !tokens.contains(&product) {
            tokens.push(product);
        }
        merges.push((left, right));
    }
    Trained { tokens, merges }
}

/// Joins every occurrence of a pair, from the left.
fn replace(word: &[Bytes], left: &Bytes, right: &Bytes) -> Vec<Bytes> {
    let mut joined = Vec::new();
    let mut at = 0;
    while at < word.len() {
        if word[at] == *left && word.get(at + 1) == Some(right) {
            joined.push([left.as_slice(), right].concat());
            at += 2;
        } else {
            joined.push(word[at].clone());
            at += 1;
        }
    }
    joined
}

/// The bytes in the order of the characters by which Hugging Face shows them: themselves if they can be
/// seen, else characters from U+0100 on.
fn huggingface_alphabet() -> Vec<u8> {
    let seen = |byte: &u8| {
        let c = char::from(*byte);
        !c.is_control() && !c.is_whitespace() && c != '\u{ad}'
    };
    let hidden = (0..=255u8).filter(|byte| !seen(byte));
    (0..=255u8).filter(seen).chain(hidden).collect()
}
