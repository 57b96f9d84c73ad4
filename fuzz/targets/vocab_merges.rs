//! `vocab.json` and `merges.txt`: any bytes, and good files with damage, are refused or read; what is
//! read can be used, and comes back equal once it is written.

#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use byteloom::files::gpt2;
use byteloom_fuzz::edits::{edit_bytes, edit_json};
use byteloom_fuzz::files;
use byteloom_fuzz::splitting::preset;
use byteloom_fuzz::vocabulary::{Tables, check_use};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

#[derive(Debug)]
struct Input {
    vocab: Vec<u8>,
    merges: Vec<u8>,
    special: Option<Vec<Vec<u8>>>,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if u.arbitrary()? {
            // Any bytes, divided at a byte that neither file holds.
            let bytes = u.bytes(u.len())?;
            let border = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            let (vocab, merges) = (&bytes[..border], bytes.get(border + 1..).unwrap_or_default());
            return Ok(Self { vocab: vocab.into(), merges: merges.into(), special: None });
        }
        let tables = Tables::arbitrary(u)?;
        let (vocab, merges) = (files::path("vocab.json"), files::path("merges.txt"));
        if gpt2::save(&tables.vocabulary(), &vocab, &merges).is_err() {
            return Err(arbitrary::Error::IncorrectFormat);
        }
        let read = |path| std::fs::read(path).expect("it was written");
        let (mut vocab, mut merges) = (read(vocab), read(merges));
        let mut table: Value = serde_json::from_slice(&vocab).expect("what was written is JSON");
        edit_json(&mut table, u)?;
        vocab = table.to_string().into_bytes();
        match u.arbitrary::<u8>()? % 8 {
            1 => edit_bytes(&mut vocab, u)?,
            2 => edit_bytes(&mut merges, u)?,
            _ => {}
        }
        let special = u.arbitrary::<bool>()?.then_some(tables.special);
        Ok(Self { vocab, merges, special })
    }
}

fuzz_target!(|input: Input| {
    let vocab = files::write("vocab.json", &input.vocab);
    let merges = files::write("merges.txt", &input.merges);
    let Ok(loaded) = gpt2::load(&vocab, &merges, input.special.as_deref()) else { return };
    check_use(&loaded, &preset(0).pretokenizer);
    // The files name special tokens only as far as they can be guessed: they are told again.
    let special: Vec<Vec<u8>> = loaded.special_tokens().iter().map(|(t, _)| t.clone()).collect();
    gpt2::save(&loaded, &vocab, &merges).expect("it was read from such files");
    let again = gpt2::load(&vocab, &merges, Some(&special)).expect("it was written");
    assert_eq!(again, loaded);
});
