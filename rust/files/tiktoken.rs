//! tiktoken's rank file: a line a token, its bytes in base64 and its rank. Pattern and special tokens
//! are not part of it.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::atomic::write_atomic;
use crate::vocab::Vocabulary;
use crate::{Error, Result};

/// Reads the text of a rank file, to which special tokens are added; `source` names it in errors.
///
/// # Errors
/// A line that is not base64 and a number, or ranks that no merges give.
pub fn parse(text: &str, special: &[(Vec<u8>, u32)], source: &str) -> Result<Vocabulary> {
    let mut ranks = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let entry = line.split_once(' ').and_then(|(token, rank)| {
            Some((STANDARD.decode(token).ok()?, rank.trim_end().parse::<u32>().ok()?))
        });
        ranks.push(entry.ok_or_else(|| {
            Error::invalid(format!(
                "{source}:{}: not a tokenizer: a line of a tiktoken file is a token in base64, a \
                 space, and its rank",
                index + 1
            ))
        })?);
    }
    if ranks.is_empty() {
        return Err(Error::invalid(format!("{source}: not a tokenizer: there is nothing in it")));
    }
    Vocabulary::from_ranks(ranks, special.to_vec()).map_err(|error| {
        Error::invalid(format!(
            "{source}: {error}; a tiktoken file lacks the special tokens: give those it was made with"
        ))
    })
}

/// The ranks of all but the special tokens, which are their ids.
///
/// # Errors
/// tiktoken, which joins the neighbours whose union has the lowest rank and knows no merges, would
/// make other tokens of a text.
pub fn ranks(vocabulary: &Vocabulary) -> Result<Vec<(Vec<u8>, u32)>> {
    let special: HashSet<u32> = vocabulary.special_tokens().iter().map(|(_, id)| *id).collect();
    let ranks: Vec<(Vec<u8>, u32)> = vocabulary
        .tokens()
        .iter()
        .cloned()
        .zip(0u32..)
        .filter(|(_, id)| !special.contains(id))
        .collect();
    let recovered = Vocabulary::from_ranks(ranks.clone(), vocabulary.special_tokens().to_vec());
    if recovered.is_ok_and(|recovered| recovered.merges() == vocabulary.merges()) {
        return Ok(ranks);
    }
    Err(Error::invalid(
        "tiktoken cannot express this tokenizer: its ids are not in the order of its merges",
    ))
}

/// Writes a rank file.
///
/// # Errors
/// As [`ranks`], or the operating system refuses.
pub fn save(vocabulary: &Vocabulary, path: &Path) -> Result<()> {
    let ranks = ranks(vocabulary)?;
    write_atomic(path, |file| {
        let mut out = std::io::BufWriter::new(file);
        for (token, rank) in &ranks {
            writeln!(out, "{} {rank}", STANDARD.encode(token))?;
        }
        out.flush()
    })
}
