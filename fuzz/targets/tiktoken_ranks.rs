//! tiktoken's ranks: any bytes, and good files with damage, are refused or read; what is read can be
//! used, and comes back equal once it is written.

#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use byteloom::files::tiktoken;
use byteloom_fuzz::edits::edit_bytes;
use byteloom_fuzz::files;
use byteloom_fuzz::splitting::preset;
use byteloom_fuzz::vocabulary::{Tables, check_use};
use libfuzzer_sys::fuzz_target;

#[derive(Debug)]
struct Input {
    text: String,
    special: Vec<(Vec<u8>, u32)>,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if u.arbitrary()? {
            let text = String::from_utf8_lossy(u.bytes(u.len())?).into_owned();
            return Ok(Self { text, special: Vec::new() });
        }
        let vocabulary = Tables::arbitrary(u)?.vocabulary();
        let path = files::path("ranks");
        if tiktoken::save(&vocabulary, &path).is_err() {
            return Err(arbitrary::Error::IncorrectFormat);
        }
        let mut bytes = std::fs::read(&path).expect("it was written");
        let mut special = vocabulary.special_tokens().to_vec();
        edit_bytes(&mut bytes, u)?;
        if u.arbitrary::<u8>()? % 8 == 1 {
            special.push((b"<new>".to_vec(), u32::from(u.arbitrary::<u16>()? % 300)));
        }
        Ok(Self { text: String::from_utf8_lossy(&bytes).into_owned(), special })
    }
}

fuzz_target!(|input: Input| {
    let Ok(loaded) = tiktoken::parse(&input.text, &input.special, "fuzz") else { return };
    check_use(&loaded, &preset(0).pretokenizer);
    let path = files::path("ranks");
    tiktoken::save(&loaded, &path).expect("it was read from ranks");
    let text = std::fs::read_to_string(&path).expect("it was written");
    let again = tiktoken::parse(&text, loaded.special_tokens(), "again").expect("it was written");
    assert_eq!(again, loaded);
});
