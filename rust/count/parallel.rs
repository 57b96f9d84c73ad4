//! Counting files on all processors: every worker counts pieces into a table of its own.

use std::path::PathBuf;

use super::Counts;
use crate::chunk::{DEFAULT_PIECE_SIZE, Pieces};
use crate::pretokenize::Pretokenizer;
use crate::special::{Segment, SpecialTokens};
use crate::{Monitor, Result, threads};

/// How files are counted; nothing here changes the counts.
#[derive(Clone, Debug)]
pub struct CountOptions {
    /// Worker threads; `None` takes every processor that the process may use.
    pub num_threads: Option<usize>,
    /// Bytes read at a time.
    pub piece_size: usize,
}

impl Default for CountOptions {
    fn default() -> Self {
        Self { num_threads: None, piece_size: DEFAULT_PIECE_SIZE }
    }
}

/// Counts the pretokens of files, each a text of its own, in memory that follows the number of
/// distinct pretokens.
///
/// # Errors
/// A file cannot be read, the pattern's engine gives up, or the monitor was cancelled.
pub fn count_files(
    inputs: &[PathBuf],
    pretokenizer: &Pretokenizer,
    special: &SpecialTokens,
    options: &CountOptions,
    monitor: &Monitor,
) -> Result<Counts> {
    let threads = threads::resolve(options.num_threads)?;
    let pieces = Pieces::open(inputs, pretokenizer, special, options.piece_size)?;
    monitor.start(pieces.total_bytes());
    let parts = threads::run(threads, |failed| {
        let mut counts = Counts::new();
        let mut piece = Vec::new();
        while !failed() && pieces.next(&mut piece)?.is_some() {
            count_text(&piece, pretokenizer, special, &mut counts, monitor)?;
            monitor.advance(piece.len() as u64);
        }
        Ok(counts)
    });
    // The largest table takes in the others.
    let mut parts = parts?;
    parts.sort_by_key(Counts::len);
    let mut total = parts.pop().unwrap_or_default();
    for part in parts {
        monitor.check()?;
        total.merge(&part);
    }
    Ok(total)
}

/// Adds the pretokens of one text.
///
/// # Errors
/// The pattern's engine gives up, or the monitor was cancelled.
pub fn count_text(
    text: &[u8],
    pretokenizer: &Pretokenizer,
    special: &SpecialTokens,
    counts: &mut Counts,
    monitor: &Monitor,
) -> Result<()> {
    for segment in special.split(text) {
        if let Segment::Text(text) = segment {
            pretokenizer.for_each(text, monitor, |pretoken| counts.add(pretoken, 1))?;
        }
    }
    Ok(())
}
