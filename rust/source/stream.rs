//! An open input, from which pieces are filled.

use super::bytes::Bytes;
use crate::Result;
use crate::piece::Piece;

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

    pub(super) fn records(records: impl Records + 'static) -> Self {
        let content = Content::Records { records: Box::new(records), record: Vec::new(), taken: 0 };
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
        Ok(full)
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
