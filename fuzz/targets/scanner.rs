//! Splitting: every preset on any bytes, with any special tokens, whole and in pieces of any size,
//! against the regex engine.

#![no_main]

use arbitrary::Arbitrary;
use byteloom::special::SpecialTokens;
use byteloom_fuzz::input::{Specials, Text};
use byteloom_fuzz::splitting::{Part, parts, parts_in_pieces, preset, slow_parts};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    preset: u8,
    piece_size: u16,
    special: Specials,
    text: Text,
}

fuzz_target!(|input: Input| {
    let Input { special: Specials(special), text: Text(text), .. } = &input;
    let preset = preset(input.preset);
    let tokens = SpecialTokens::new(special).expect("they are different, and not empty");
    let whole = parts(&preset.pretokenizer, &tokens, text).expect("presets split every text");
    let joined: Vec<u8> = whole
        .iter()
        .flat_map(|part| match part {
            Part::Special(index) => special[*index].clone(),
            Part::Pretoken(pretoken) => pretoken.clone(),
        })
        .collect();
    assert_eq!(&joined, text, "the parts, joined, are not the text");
    assert_eq!(
        whole,
        slow_parts(&preset.regex, special, text),
        "the regex engine splits otherwise"
    );
    let size = usize::from(input.piece_size % 1024) + 1;
    let pieces = parts_in_pieces(&preset.pretokenizer, &tokens, text, size);
    assert_eq!(pieces.as_ref(), Some(&whole), "pieces of {size} bytes split otherwise");
});
