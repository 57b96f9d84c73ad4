//! Counting: files in pieces of any size on any number of threads, against a map filled by the slow
//! splitting; and the table of counts itself.

#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use byteloom::Monitor;
use byteloom::count::{CountOptions, Counts, count_files, count_texts};
use byteloom::special::SpecialTokens;
use byteloom_fuzz::files;
use byteloom_fuzz::input::{Specials, Text};
use byteloom_fuzz::splitting::{Part, preset, slow_parts};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    preset: u8,
    piece_size: u16,
    num_threads: u8,
    /// Where the text is divided into two files.
    border: u16,
    special: Specials,
    text: Text,
}

fuzz_target!(|input: Input| {
    let Input { special: Specials(special), text: Text(text), .. } = &input;
    let preset = preset(input.preset);
    let tokens = SpecialTokens::new(special).expect("they are different, and not empty");
    let texts: [&[u8]; 2] = text.split_at(usize::from(input.border) % (text.len() + 1)).into();

    let mut expected: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for text in texts {
        for part in slow_parts(&preset.regex, special, text) {
            if let Part::Pretoken(pretoken) = part {
                *expected.entry(pretoken).or_default() += 1;
            }
        }
    }
    let expected: Vec<(Vec<u8>, u64)> = expected.into_iter().collect();

    let inputs = [files::write("0.txt", texts[0]), files::write("1.txt", texts[1])];
    let options = CountOptions {
        num_threads: Some(usize::from(input.num_threads % 8) + 1),
        piece_size: usize::from(input.piece_size % 1024) + 1,
        ..CountOptions::default()
    };
    let monitor = Monitor::new();
    let counts = count_files(&inputs, &preset.pretokenizer, &tokens, &options, &monitor);
    let counts = counts.expect("presets split every text");
    assert_eq!(counts.sorted(), expected, "{options:?}");
    assert_eq!(monitor.progress(), (text.len() as u64, text.len() as u64));

    // In memory, one table a text, added up.
    let mut sum = Counts::new();
    for text in texts {
        let one = count_texts(&[text], &preset.pretokenizer, &tokens, Some(1), &monitor);
        sum.merge(&one.expect("as above"));
    }
    assert_eq!(sum.sorted(), expected);
    assert_eq!(sum.len(), expected.len());
    for (pretoken, count) in &expected {
        assert_eq!(sum.get(pretoken), *count);
    }
});
