//! `tokenizer.json`: any bytes, and good files with damage, are refused or read; what is read can be
//! used, and comes back equal once it is written.

#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use byteloom::files::huggingface;
use byteloom_fuzz::edits::{edit_bytes, edit_json};
use byteloom_fuzz::splitting::{preset, pretokenizer};
use byteloom_fuzz::vocabulary::{Tables, check_use};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

#[derive(Debug)]
struct Input(String);

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if u.arbitrary()? {
            return Ok(Self(String::from_utf8_lossy(u.bytes(u.len())?).into_owned()));
        }
        let preset = preset(u.arbitrary()?);
        let vocabulary = Tables::arbitrary(u)?.vocabulary();
        let Ok(text) = huggingface::to_json(&vocabulary, &preset.pretokenizer) else {
            return Err(arbitrary::Error::IncorrectFormat);
        };
        let mut document: Value = serde_json::from_str(&text).expect("what was written is JSON");
        if u.arbitrary::<u8>()? % 4 == 1 {
            add_token(&mut document, u)?;
        }
        edit_json(&mut document, u)?;
        let mut bytes = document.to_string().into_bytes();
        if u.arbitrary::<u8>()? % 8 == 1 {
            edit_bytes(&mut bytes, u)?;
        }
        Ok(Self(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// Makes one more added token of what is in the table already.
fn add_token(document: &mut Value, u: &mut Unstructured<'_>) -> Result<()> {
    let table = document["model"]["vocab"].as_object().cloned().unwrap_or_default();
    let at = usize::from(u.arbitrary::<u16>()?) % table.len().max(1);
    if let (Some((content, id)), Some(added)) =
        (table.iter().nth(at), document["added_tokens"].as_array_mut())
    {
        added.push(json!({ "id": id, "content": content }));
    }
    Ok(())
}

fuzz_target!(|input: Input| {
    let Ok(loaded) = huggingface::parse(&input.0, "fuzz.json") else { return };
    let pattern = loaded.pattern.as_deref().expect("this format has a pattern");
    let Ok(found) = pretokenizer(pattern) else { return };
    check_use(&loaded.vocabulary, &found);
    let text = huggingface::to_json(&loaded.vocabulary, &found).expect("it was read from one");
    let again = huggingface::parse(&text, "again.json").expect("it was written");
    assert_eq!(again.vocabulary, loaded.vocabulary);
    let again = pretokenizer(again.pattern.as_deref().expect("as above")).expect("as above");
    assert_eq!(again.pattern(), found.pattern());
});
