//! An open input, from which pieces are filled.

use super::bytes::Bytes;
use crate::monitor::Stop;
use crate::piece::Piece;
use crate::{Error, Result};

/// Bytes that are passed over at a time.
const SKIPPED_AT_ONCE: usize = 1 << 20;

/// Documents in the order of an input, as much of them at a time as is asked for.
pub struct Stream {
    content: Content,
    /// The position up to which progress was reported.
    reported: u64,
}

enum Content {
    /// The whole input is one document.
    Text(Bytes),
    /// Every record is one.
    Records {
        records: Box<dyn Records>,
        /// The text of the record at hand, and how much of it was handed on.
        record: Vec<u8>,
        taken: usize,
    },
}

/// The seam for a format of records.
pub(super) trait Records: Send {
    /// Puts the text of the next record into `text`, which is empty; `false` if there is none.
    fn next(&mut self, text: &mut Vec<u8>) -> Result<bool>;

    /// Bytes of the file that were passed so far; its size when there are no more records.
    fn position(&self) -> u64;
}

impl Stream {
    pub(super) fn text(bytes: Bytes) -> Self {
        Self { content: Content::Text(bytes), reported: 0 }
    }

    pub(super) fn records(records: Box<dyn Records>) -> Self {
        let content = Content::Records { records, record: Vec::new(), taken: 0 };
        Self { content, reported: 0 }
    }

    /// Adds text to `piece` until its size is `wanted`; `false` if the input ended before.
    ///
    /// # Errors
    /// The input cannot be read or is damaged, or a record has no text; the message says where.
    pub(crate) fn fill(&mut self, wanted: usize, piece: &mut Piece) -> Result<bool> {
        let full = self.content.fill(wanted, piece)?;
        let position = self.content.position();
        piece.progress += position.saturating_sub(self.reported);
        self.reported = position;
        piece.of_records = matches!(self.content, Content::Records { .. });
        Ok(full)
    }

    /// Passes over text and ends of documents, of this size together, as pieces that were handed out
    /// before had it. The progress of that comes with the next piece.
    ///
    /// # Errors
    /// As for reading; the input ends before.
    pub(crate) fn skip(&mut self, size: u64, stop: &Stop) -> Result<()> {
        let mut piece = Piece::default();
        let mut left = size;
        while left > 0 {
            if stop.is_wanted() {
                return Err(Error::cancelled());
            }
            let wanted = left.min(SKIPPED_AT_ONCE as u64) as usize;
            let full = self.content.fill(wanted, &mut piece)?;
            left = match left.checked_sub(piece.size() as u64) {
                Some(left) if full || left == 0 => left,
                _ => {
                    return Err(Error::invalid(
                        "an input has another text than when its reading was begun",
                    ));
                }
            };
            piece.clear();
        }
        Ok(())
    }
}

impl Content {
    fn fill(&mut self, wanted: usize, piece: &mut Piece) -> Result<bool> {
        match self {
            Self::Text(bytes) => {
                let missing = wanted.saturating_sub(piece.size());
                let full = bytes.append_to(&mut piece.bytes, missing)? == missing;
                if !full {
                    piece.end_document();
                }
                Ok(full)
            }
            Self::Records { records, record, taken } => {
                while piece.size() < wanted {
                    if *taken == record.len() {
                        record.clear();
                        *taken = 0;
                        if !records.next(record)? {
                            return Ok(false);
                        }
                    }
                    let rest = &record[*taken..];
                    let part = &rest[..rest.len().min(wanted - piece.size())];
                    piece.bytes.extend_from_slice(part);
                    *taken += part.len();
                    if *taken == record.len() {
                        piece.end_document();
                    }
                }
                Ok(true)
            }
        }
    }

    fn position(&self) -> u64 {
        match self {
            Self::Text(bytes) => bytes.position(),
            Self::Records { records, .. } => records.position(),
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("reported", &self.reported).finish_non_exhaustive()
    }
}
