//! Parquet: files of every layout give the texts that were put into them; with damage, and any bytes,
//! they are refused or give the same in pieces of any size.

#![no_main]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use arbitrary::{Arbitrary, Result, Unstructured};
use byteloom::ErrorKind;
use byteloom_fuzz::documents::documents;
use byteloom_fuzz::edits::edit_bytes;
use byteloom_fuzz::files;
use byteloom_fuzz::parquet::{Layout, Rows};
use libfuzzer_sys::fuzz_target;

#[derive(Debug)]
struct Input {
    piece_sizes: [u16; 2],
    column: &'static str,
    bytes: Vec<u8>,
    /// The rows of a file in order.
    rows: Option<Vec<Option<Vec<u8>>>>,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let raw = u.arbitrary()?;
        let piece_sizes = u.arbitrary()?;
        if raw {
            let bytes = u.bytes(u.len())?.to_vec();
            return Ok(Self { piece_sizes, column: "text", bytes, rows: None });
        }
        let layout = Layout::arbitrary(u)?;
        let mut edits = Unstructured::new(u.bytes(u.len().min(48))?);
        let damaged: bool = edits.arbitrary()?;
        let Rows(mut rows) = Rows::arbitrary(u)?;
        if !layout.is_optional() {
            rows.retain(Option::is_some);
        }
        let mut bytes = layout.write(&rows).expect("a layout that the crate knows");
        if damaged && edit_bytes(&mut bytes, &mut edits).is_err() {
            bytes.truncate(bytes.len() / 2);
        }
        Ok(Self { piece_sizes, column: layout.column(), bytes, rows: (!damaged).then_some(rows) })
    }
}

fn check(input: &Input) {
    let path = files::write("a.parquet", &input.bytes);
    let read = |size: u16| documents(&path, input.column, usize::from(size % 1024) + 1);
    let found = read(input.piece_sizes[0]);
    if let Err(error) = &found {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    let Some(rows) = &input.rows else {
        let again = read(input.piece_sizes[1]);
        assert_eq!(again.ok(), found.ok(), "by the size of pieces");
        return;
    };
    match rows.iter().position(Option::is_none) {
        None => {
            let texts: Vec<Vec<u8>> = rows.iter().flatten().cloned().collect();
            assert_eq!(found.expect("a file in order"), Some(texts));
        }
        Some(null) => {
            let error = found.expect_err("a row is null").to_string();
            assert!(error.contains(&format!(", row {}: null", null + 1)), "{error}, not {null}");
        }
    }
}

/// What the last panic said.
static PANIC: Mutex<String> = Mutex::new(String::new());

fuzz_target!(
    init: {
        // libFuzzer's would end the process at any panic. The parquet crate's, which on some damaged
        // files are its way to give up, are caught by the reader; none may get past it.
        std::panic::set_hook(Box::new(|panic| {
            if let Ok(mut said) = PANIC.lock() {
                *said = panic.to_string();
            }
        }));
    },
    |input: Input| {
        if catch_unwind(AssertUnwindSafe(|| check(&input))).is_err() {
            eprintln!("{}", PANIC.lock().map(|said| said.clone()).unwrap_or_default());
            std::process::abort();
        }
    }
);
