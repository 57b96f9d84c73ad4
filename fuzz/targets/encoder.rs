//! Encoding: any vocabulary and any text, against the slow encoder; from memory, once more from the
//! cache, with some special tokens only, and from files in pieces; decoding is the way back.

#![no_main]

use arbitrary::Arbitrary;
use byteloom::Monitor;
use byteloom::encode::{AllowedSpecial, Dtype, EncodeOptions, Encoder};
use byteloom::special::SpecialTokens;
use byteloom_fuzz::files;
use byteloom_fuzz::input::Text;
use byteloom_fuzz::splitting::preset;
use byteloom_fuzz::vocabulary::{Tables, slow_ids};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    preset: u8,
    piece_size: u16,
    num_threads: u8,
    wide: bool,
    /// Files are written now and then only: each costs as much as a hundred texts.
    in_files: u8,
    /// Which special tokens are allowed, by their bits.
    allowed: u8,
    tables: Tables,
    text: Text,
}

fuzz_target!(|input: Input| {
    let Input { tables, text: Text(text), .. } = &input;
    let pretokenizer = &preset(input.preset).pretokenizer;
    let encoder = Encoder::new(tables.vocabulary(), pretokenizer.clone()).expect("few tokens");
    let all = SpecialTokens::new(&tables.special).expect("they are different, and not empty");
    let monitor = Monitor::new();
    let encode = |text: &[u8], allowed: &AllowedSpecial| {
        let ids = encoder.encode::<u32>(text, allowed, &monitor).expect("presets split every text");
        let mut back = Vec::new();
        encoder.decode(&ids, &mut back).expect("ids of its own");
        assert_eq!(back, text, "decoding gives another text");
        ids.to_vec()
    };

    let ids = encode(text, &AllowedSpecial::All);
    assert_eq!(Some(&ids), slow_ids(&encoder, &all, text).as_ref(), "the slow encoder differs");
    assert_eq!(ids, encode(text, &AllowedSpecial::All), "a second time, other ids");

    let bits = tables.special.iter().enumerate().filter(|(i, _)| input.allowed >> i & 1 == 1);
    let some: Vec<&Vec<u8>> = bits.map(|(_, token)| token).collect();
    let allowed = encoder.allow(&some).expect("special tokens of the vocabulary");
    let some = SpecialTokens::new(&some).expect("a part of the above");
    let expected = slow_ids(&encoder, &some, text);
    assert_eq!(Some(encode(text, &allowed)), expected, "some special tokens only");

    if input.in_files % 16 != 1 {
        return;
    }
    let options = EncodeOptions {
        dtype: if input.wide { Dtype::U32 } else { Dtype::U16 },
        num_threads: Some(usize::from(input.num_threads % 4) + 1),
        piece_size: usize::from(input.piece_size % 1024) + 1,
        ..EncodeOptions::default()
    };
    let (path, output) = (files::write("text", text), files::path("ids.bin"));
    let stats =
        encoder.encode_files(&[path], &output, &options, &monitor).expect("a file in order");
    let written = std::fs::read(&output).expect("it was written");
    let width = if input.wide { 4 } else { 2 };
    let number = |id: &[u8]| id.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte));
    let from_file: Vec<u32> = written.chunks_exact(width).map(number).collect();
    assert_eq!(from_file, ids, "{options:?}");
    assert_eq!((stats.tokens, stats.bytes), (ids.len() as u64, text.len() as u64));
});
