//! Small damage to files that are in order: it comes further into a reader than noise does.

use arbitrary::{Arbitrary, Result, Unstructured};
use serde_json::{Value, json};

/// Changes the bytes of a file: some are overwritten, taken out, put in or repeated.
///
/// # Errors
/// There are no bytes left to decide by.
pub fn edit_bytes(bytes: &mut Vec<u8>, u: &mut Unstructured<'_>) -> Result<()> {
    for _ in 0..u.arbitrary::<u8>()? % 8 {
        let at = usize::from(u.arbitrary::<u16>()?) % (bytes.len() + 1);
        let length = (usize::from(u.arbitrary::<u8>()?) % 16).min(bytes.len() - at);
        match u.arbitrary::<u8>()? % 6 {
            0 => drop(bytes.drain(at..at + length)),
            1 => bytes.truncate(at),
            2 => bytes.extend_from_within(at..at + length),
            3 => bytes.insert(at, u.arbitrary()?),
            4 => {
                for byte in &mut bytes[at..at + length] {
                    *byte = u.arbitrary()?;
                }
            }
            // A number with all its bits, as a length or a count.
            _ => drop(bytes.splice(at..at + length, [0xff; 9].into_iter().chain([1]))),
        }
    }
    Ok(())
}

/// Changes a JSON document: values are replaced, taken out or put in, at any depth.
///
/// # Errors
/// There are no bytes left to decide by.
pub fn edit_json(document: &mut Value, u: &mut Unstructured<'_>) -> Result<()> {
    for _ in 0..u.arbitrary::<u8>()? % 5 {
        let mut here = &mut *document;
        loop {
            let children = match &*here {
                Value::Array(array) => array.len(),
                Value::Object(object) => object.len(),
                _ => 0,
            };
            // Either here, or further down.
            if children == 0 || u.arbitrary::<u8>()? % 4 == 0 {
                *here = any_json(u, 2)?;
                break;
            }
            let at = usize::from(u.arbitrary::<u16>()?) % children;
            let action = u.arbitrary::<u8>()? % 8;
            match here {
                Value::Array(array) if action == 0 => drop(array.remove(at)),
                Value::Array(array) if action == 1 => array.insert(at, array[at].clone()),
                Value::Array(array) => {
                    here = &mut array[at];
                    continue;
                }
                Value::Object(object) => {
                    let key = object.keys().nth(at).cloned().unwrap_or_default();
                    if action == 0 {
                        object.remove(&key);
                    } else if action == 1 {
                        let value = object[&key].clone();
                        object.insert(any_string(u)?, value);
                    } else {
                        here = &mut object[&key];
                        continue;
                    }
                }
                _ => {}
            }
            break;
        }
    }
    Ok(())
}

/// Texts that mean something in these files, or nearly do.
fn any_string(u: &mut Unstructured<'_>) -> Result<String> {
    const STRINGS: &[&str] = &[
        "",
        "a",
        "b",
        "ab",
        "a b",
        "a a",
        "Ġ",
        "Ġa",
        "Ċ",
        " ",
        "é",
        "Ã©",
        "Ã",
        "<|a|>",
        "日",
        "\u{0}",
        "BPE",
        "ByteLevel",
        "Split",
        "Sequence",
        "Isolated",
        "gpt2",
        r"\w+|\W",
        "(",
        "(?=a)|x*",
        "id",
        "content",
        "Regex",
        "type",
        "vocab",
        "merges",
    ];
    match u.arbitrary::<u8>()? {
        any @ 0x80.. => {
            let length = usize::from(any & 7);
            let bytes = u.bytes(length.min(u.len()))?;
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
        known => Ok(STRINGS[usize::from(known) % STRINGS.len()].to_owned()),
    }
}

fn any_json(u: &mut Unstructured<'_>, depth: u8) -> Result<Value> {
    Ok(match u.arbitrary::<u8>()? % 12 {
        0 => Value::Null,
        1 => Value::Bool(bool::arbitrary(u)?),
        2 => u.arbitrary::<u8>()?.into(),
        3 => (256 + u64::from(u.arbitrary::<u8>()? % 64)).into(),
        4 => json!(-1),
        5 => json!(1.5),
        6 => u64::MAX.into(),
        7 => json!(1u64 << 32),
        8 if depth > 0 => json!([any_json(u, depth - 1)?, any_json(u, depth - 1)?]),
        9 if depth > 0 => json!({ any_string(u)?: any_json(u, depth - 1)? }),
        _ => any_string(u)?.into(),
    })
}
