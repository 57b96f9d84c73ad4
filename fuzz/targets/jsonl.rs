//! JSON lines: any bytes and good lines with damage, under any key, in pieces of any size, packed or
//! not, against a reader that follows the grammar letter by letter; what is refused is refused with
//! the number of the line.

#![no_main]

use arbitrary::Arbitrary;
use byteloom::ErrorKind;
use byteloom_fuzz::documents::documents;
use byteloom_fuzz::files;
use byteloom_fuzz::json::{KEYS, Lines, slow_texts};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    key: u8,
    piece_size: u16,
    lines: Lines,
}

fuzz_target!(|input: Input| {
    let key = KEYS[usize::from(input.key) % KEYS.len()];
    let content = &input.lines.0;
    let expected = slow_texts(content, key);
    let path = files::write("a.jsonl", content);
    match documents(&path, key, usize::from(input.piece_size % 1024) + 1) {
        Ok(texts) => assert_eq!(texts, expected.ok(), "{content:?}, key {key:?}"),
        Err(error) => {
            let line = expected.expect_err(&format!("{error}, for {content:?}, key {key:?}"));
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(&format!(", line {line}")), "{error}, not {line}");
        }
    }
});
