//! GPT-2's pair of files: `vocab.json` (token -> id) and `merges.txt` (a line a merge), both in the
//! byte-level alphabet.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value};

use super::alphabet::Alphabet;
use super::read_text;
use crate::atomic::write_atomic;
use crate::vocab::{Merge, Vocabulary, show};
use crate::{Error, Result};

/// Reads both files. The format does not say which tokens are special: with `None`, those are that are
/// neither a byte nor the product of a merge.
///
/// # Errors
/// A file cannot be read, is no such file, or the two contradict each other.
pub fn load(vocab: &Path, merges: &Path, special: Option<&[Vec<u8>]>) -> Result<Vocabulary> {
    let (vocab_name, merges_name) = (vocab.display().to_string(), merges.display().to_string());
    let json: Map<String, Value> = serde_json::from_str(&read_text(vocab)?).map_err(|error| {
        Error::invalid(format!("{vocab_name}: not a JSON object of tokens and ids: {error}"))
    })?;
    let merges = parse_merges(&read_text(merges)?, &merges_name)?;
    from_tables(&json, merges, special, &vocab_name)
        .map_err(|error| Error::invalid(format!("{vocab_name} with {merges_name}: {error}")))
}

/// The vocabulary of a table token -> id and of merges.
///
/// # Errors
/// They contradict each other; or a special token is written as another token is in the alphabet, and so
/// would have its id.
pub(super) fn from_tables(
    json: &Map<String, Value>,
    merges: Vec<Merge>,
    special: Option<&[Vec<u8>]>,
    source: &str,
) -> Result<Vocabulary> {
    let alphabet = Alphabet::new();
    let made: HashSet<Vec<u8>> = merges.iter().map(|(a, b)| [a.as_slice(), b].concat()).collect();
    let is_ordinary = |bytes: &Vec<u8>| bytes.len() == 1 || made.contains(bytes);
    let named: HashSet<&[u8]> = special.into_iter().flatten().map(Vec::as_slice).collect();
    let mut tokens = Vec::with_capacity(json.len());
    let mut found = Vec::new();
    for (text, id) in json {
        let id = id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
            Error::invalid(format!("{source}: token {text:?} has {id} for an id"))
        })?;
        // Special tokens stand there as they are, others in the alphabet.
        let plain = text.as_bytes().to_vec();
        let token = match alphabet.decode(text) {
            Ok(bytes) if is_ordinary(&bytes) => {
                if bytes != plain && named.contains(plain.as_slice()) {
                    return Err(Error::invalid(format!(
                        "{source}: special token {text:?} is written as the token {} is, and would \
                         share its id {id}",
                        show(&bytes)
                    )));
                }
                bytes
            }
            Ok(_) | Err(_) => {
                found.push((id, plain.clone()));
                plain
            }
        };
        tokens.push((id, token));
    }
    found.sort_unstable();
    let found: Vec<Vec<u8>> = found.into_iter().map(|(_, token)| token).collect();
    if let Some(special) = special
        && let Some(strange) = found.iter().find(|token| !special.contains(token))
    {
        return Err(Error::invalid(format!(
            "token {:?} is neither a byte, nor made by a merge, nor named as a special token",
            String::from_utf8_lossy(strange)
        )));
    }
    Vocabulary::new(tokens, merges, special.unwrap_or(&found))
}

/// The merges of a `merges.txt`: the line "#version ..." may begin it.
fn parse_merges(text: &str, source: &str) -> Result<Vec<Merge>> {
    let alphabet = Alphabet::new();
    let lines = text.lines().enumerate();
    let is_version = |i, line: &str| i == 0 && line.starts_with("#version");
    let lines = lines.filter(|(i, line)| !line.is_empty() && !is_version(*i, line));
    lines
        .map(|(index, line)| {
            let wrong = || {
                Error::invalid(format!(
                    "{source}:{}: {line:?} is no merge: two tokens in the byte-level alphabet and a \
                     space between them",
                    index + 1
                ))
            };
            let (left, right) = line.split_once(' ').ok_or_else(wrong)?;
            let decode = |text| alphabet.decode(text).ok().filter(|bytes| !bytes.is_empty());
            Ok((decode(left).ok_or_else(wrong)?, decode(right).ok_or_else(wrong)?))
        })
        .collect()
}

/// Writes both files, each whole or not at all.
///
/// # Errors
/// The format cannot express the vocabulary ([`table`]), or the operating system refuses.
pub fn save(vocabulary: &Vocabulary, vocab: &Path, merges: &Path) -> Result<()> {
    let table = Value::Object(table(vocabulary)?).to_string();
    let alphabet = Alphabet::new();
    write_atomic(vocab, |file| file.write_all(table.as_bytes()))?;
    write_atomic(merges, |file| {
        let mut out = std::io::BufWriter::new(file);
        writeln!(out, "#version: 0.2")?;
        for (left, right) in vocabulary.merges() {
            writeln!(out, "{} {}", alphabet.encode(left), alphabet.encode(right))?;
        }
        out.flush()
    })
}

/// Token -> id, special tokens as they are and others in the alphabet.
///
/// # Errors
/// Two ids would have the same text.
pub(super) fn table(vocabulary: &Vocabulary) -> Result<Map<String, Value>> {
    let alphabet = Alphabet::new();
    let special: HashSet<u32> = vocabulary.special_tokens().iter().map(|(_, id)| *id).collect();
    let mut table = Map::new();
    for (id, token) in (0u32..).zip(vocabulary.tokens()) {
        let text = if special.contains(&id) {
            String::from_utf8(token.clone()).map_err(|_| {
                Error::invalid(format!("special token {id} is not UTF-8, as the format needs it"))
            })?
        } else {
            alphabet.encode(token)
        };
        if let Some(other) = table.insert(text.clone(), id.into()) {
            return Err(Error::invalid(format!(
                "ids {other} and {id} would both be written as {text:?}; the format has one id a token"
            )));
        }
    }
    Ok(table)
}
