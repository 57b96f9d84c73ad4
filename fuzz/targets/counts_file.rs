//! Counts on disk: any bytes, and good files with damage under a checksum that is right, are refused
//! or read; what is read comes back equal once it is written, as does what was counted.

#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use byteloom::count::{Counts, CountsFile};
use byteloom_fuzz::edits::edit_bytes;
use byteloom_fuzz::files;
use byteloom_fuzz::input::{Specials, Words};
use libfuzzer_sys::fuzz_target;

#[derive(Debug)]
enum Input {
    Bytes(Vec<u8>),
    /// What was saved, and the same again with damage.
    Saved(Box<CountsFile>, Vec<u8>),
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if u.arbitrary()? {
            return Ok(Self::Bytes(u.bytes(u.len())?.to_vec()));
        }
        let special_tokens = Specials::arbitrary(u)?.strings();
        let mut edits = Unstructured::new(u.bytes(u.len().min(64))?);
        let mut counts = Counts::new();
        Words::arbitrary(u)?.0.iter().for_each(|(word, count)| counts.add(word, *count));
        let saved = CountsFile { pattern: "gpt2".into(), special_tokens, counts };
        let path = files::path("counts");
        saved.save(&path).expect("a file in the folder");
        let mut bytes = std::fs::read(&path).expect("it was written");
        if edit_bytes(&mut bytes, &mut edits).is_err() {
            bytes.truncate(bytes.len() / 2);
        }
        Ok(Self::Saved(Box::new(saved), bytes))
    }
}

fn same(left: &CountsFile, right: &CountsFile) {
    assert_eq!(left.counts.sorted(), right.counts.sorted());
    assert_eq!((&left.pattern, &left.special_tokens), (&right.pattern, &right.special_tokens));
}

fn save_and_load(content: &CountsFile) -> CountsFile {
    let path = files::path("again");
    content.save(&path).expect("a file in the folder");
    CountsFile::load(&path).expect("it was written")
}

fuzz_target!(|input: Input| {
    let mut bytes = match input {
        Input::Bytes(bytes) => bytes,
        Input::Saved(saved, bytes) => {
            same(&saved, &save_and_load(&saved));
            bytes
        }
    };
    // Without this the checksum would keep everything out.
    if let Some((body, checksum)) = bytes.split_last_chunk_mut::<4>() {
        *checksum = crc32fast::hash(body).to_le_bytes();
    }
    if let Ok(loaded) = CountsFile::load(&files::write("counts", &bytes)) {
        same(&loaded, &save_and_load(&loaded));
    }
});
