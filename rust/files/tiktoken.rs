//! tiktoken's rank file: a line a token, its bytes in base64 and its rank. Pattern and special tokens
//! are not part of it.

use std::io::Write;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::atomic::write_atomic;
use crate::vocab::Vocabulary;
use crate::{Error, Result};

/// Reads the text of a rank file; `source` names it in errors.
///
/// # Errors
/// A line that is not base64 and a number, or ranks that no merges give.
pub fn parse(text: &str, source: &str) -> Result<Vocabulary> {
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
    Vocabulary::from_ranks(ranks, Vec::new())
        .map_err(|error| Error::invalid(format!("{source}: {error}")))
}

/// Writes a rank file: the ids of all but the special tokens are the ranks.
///
/// # Errors
/// The operating system refuses.
pub fn save(vocabulary: &Vocabulary, path: &Path) -> Result<()> {
    write_atomic(path, |file| {
        let mut out = std::io::BufWriter::new(file);
        for (id, token) in (0u32..).zip(vocabulary.tokens()) {
            if !vocabulary.special_tokens().iter().any(|(_, special)| *special == id) {
                writeln!(out, "{} {id}", STANDARD.encode(token))?;
            }
        }
        out.flush()
    })
}
