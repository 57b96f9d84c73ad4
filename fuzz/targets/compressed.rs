//! gzip and zstd files of one or more parts, as one text or as JSON lines, in pieces of any size, with
//! and without damage: what they hold is what another way of unpacking says, or they are refused.

#![no_main]

use arbitrary::Arbitrary;
use byteloom::ErrorKind;
use byteloom_fuzz::documents::documents;
use byteloom_fuzz::files;
use byteloom_fuzz::json::slow_texts;
use byteloom_fuzz::packing::{Archive, Held, Packing, unpacked};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    json_lines: bool,
    piece_size: u16,
    archive: Archive,
}

fuzz_target!(|input: Input| {
    let Archive { packing, bytes, content } = input.archive;
    let held = unpacked(packing, &bytes);
    if let Some(content) = content {
        assert_eq!(held, Held::Bytes(content), "it was packed otherwise");
    }
    let expected = match held {
        Held::TooMuch => return,
        Held::Damaged => None,
        Held::Bytes(text) if input.json_lines => slow_texts(&text, "text").ok(),
        Held::Bytes(text) => Some(vec![text]),
    };
    let name = match (packing, input.json_lines) {
        (Packing::Gzip, false) => "a.gz",
        (Packing::Gzip, true) => "a.jsonl.gz",
        (Packing::Zstd, false) => "a.zst",
        (Packing::Zstd, true) => "a.jsonl.zst",
    };
    let path = files::write(name, &bytes);
    match documents(&path, "text", usize::from(input.piece_size % 1024) + 1) {
        Ok(texts) => assert_eq!(texts, expected, "{name}: {bytes:?}"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            // What only a reader in bounded memory refuses: a window that is too large, and a block that
            // is larger than its window, which the format forbids.
            let message = error.to_string();
            let too_large = ["too much memory", "buffer is too small"];
            let too_large = too_large.iter().any(|reason| message.contains(reason));
            assert!(expected.is_none() || too_large, "{error}, for {name}: {bytes:?}");
        }
    }
});
