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
    let held = match (unpacked(packing, &bytes), content) {
        (held, None) => held,
        (Held::Bytes(held) | Held::Refusable(held), Some(content)) => {
            assert_eq!(held, content, "it was packed otherwise");
            // Nothing that a packer makes may be refused.
            Held::Bytes(held)
        }
        (held, Some(content)) => panic!("{content:?} was packed, and not {held:?}"),
    };
    let may_be_refused = matches!(held, Held::Damaged | Held::Refusable(_));
    let expected = match held {
        Held::TooMuch => return,
        Held::Damaged => None,
        Held::Bytes(text) | Held::Refusable(text) if input.json_lines => {
            slow_texts(&text, "text").ok()
        }
        Held::Bytes(text) | Held::Refusable(text) => Some(vec![text]),
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
            assert!(expected.is_none() || may_be_refused, "{error}, for {name}: {bytes:?}");
        }
    }
});
