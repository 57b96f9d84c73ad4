//! Training: merges and tokens, against the trainer that recounts everything, under both tie rules,
//! whatever order and however many tables the counts come from.

#![no_main]

use arbitrary::Arbitrary;
use byteloom::Monitor;
use byteloom::count::Counts;
use byteloom::train::{TieBreak, TrainOptions, train};
use byteloom_fuzz::input::{Specials, Words};
use byteloom_fuzz::oracle;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    huggingface: bool,
    more: u8,
    min_frequency: u8,
    special: Specials,
    words: Words,
}

fuzz_target!(|input: Input| {
    let Input { special: Specials(special_tokens), words: Words(words), .. } = input;
    let options = TrainOptions {
        vocab_size: 256 + special_tokens.len() + usize::from(input.more % 64),
        special_tokens,
        tie_break: if input.huggingface { TieBreak::HuggingFace } else { TieBreak::Bytes },
        min_frequency: u64::from(input.min_frequency % 8),
    };
    let expected = oracle::train::train(&words, &options);

    let mut forwards = Counts::new();
    words.iter().for_each(|(word, count)| forwards.add(word, *count));
    let mut shards = [Counts::new(), Counts::new()];
    for (index, (word, count)) in words.iter().enumerate().rev() {
        shards[index % 2].add(word, *count);
    }
    let [mut backwards, other] = shards;
    backwards.merge(&other);

    for counts in [&forwards, &backwards] {
        let vocabulary = train(counts, &options, &Monitor::new()).expect("options in order");
        assert_eq!(vocabulary.merges(), expected.merges, "the merges differ");
        assert_eq!(vocabulary.tokens(), expected.tokens, "the tokens differ");
    }
});
