//! Files -> pieces that are counted or encoded on their own, in bounded memory.
//!
//! A piece ends where no pretoken and no special token can cross ([`Pretokenizer::last_cut`]), so the
//! pieces of a file give the very pretokens of the whole. Whoever works takes the next piece: reading
//! is one worker at a time, which a copy from the page cache bears, and what happens to the piece
//! afterwards is all at once.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::pretokenize::Pretokenizer;
use crate::special::SpecialTokens;
use crate::{Error, Result};

/// Bytes read at a time: large against the cost of a piece, small against memory.
pub const DEFAULT_PIECE_SIZE: usize = 1 << 20;

/// The pieces of several files, one after the other, for any number of workers.
#[derive(Debug)]
pub struct Pieces {
    pretokenizer: Pretokenizer,
    special: SpecialTokens,
    piece_size: usize,
    total_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<PathBuf>,
    current: Option<Input>,
    next_index: usize,
}

/// A file that is being read.
struct Input {
    path: PathBuf,
    /// A seam: anything that gives bytes in order can stand here.
    reader: Box<dyn Read + Send>,
    /// Bytes that a regular file must still give; it was that long when it was opened.
    promised: u64,
    /// What was read beyond the end of the last piece.
    carry: Vec<u8>,
}

impl Pieces {
    /// Prepares to read `inputs` in order. They are looked at, but not read, now.
    ///
    /// # Errors
    /// No inputs, or one that is missing, unreadable, or a folder.
    pub fn open(
        inputs: &[PathBuf],
        pretokenizer: &Pretokenizer,
        special: &SpecialTokens,
        piece_size: usize,
    ) -> Result<Self> {
        if inputs.is_empty() {
            return Err(Error::invalid("no input files"));
        }
        if piece_size == 0 {
            return Err(Error::invalid("the piece size is 0; it must be at least 1 byte"));
        }
        let mut total_bytes = 0;
        for path in inputs {
            let metadata = path.metadata().map_err(|e| Error::io(path, "cannot read", &e))?;
            if metadata.is_dir() {
                let error = std::io::Error::from(std::io::ErrorKind::IsADirectory);
                return Err(Error::io(path, "cannot read", &error));
            }
            total_bytes += metadata.len();
        }
        Ok(Self {
            pretokenizer: pretokenizer.clone(),
            special: special.clone(),
            piece_size,
            total_bytes,
            state: Mutex::new(State {
                waiting: inputs.iter().cloned().collect(),
                current: None,
                next_index: 0,
            }),
        })
    }

    /// The size of all inputs, as far as it is known beforehand.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Puts the next piece into `buffer` and returns its index, 0, 1, 2 ... in the order of the text;
    /// `None` when there are no more.
    ///
    /// # Errors
    /// A file cannot be opened or read, or has become shorter since it was opened.
    pub fn next(&self, buffer: &mut Vec<u8>) -> Result<Option<usize>> {
        // A worker that panicked while it held the lock left a state that is still in order.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let Some(input) = &mut state.current else {
                let Some(path) = state.waiting.pop_front() else { return Ok(None) };
                state.current = Some(Input::open(path)?);
                continue;
            };
            let more = self.fill(input, buffer)?;
            if !more {
                state.current = None;
            }
            if !buffer.is_empty() {
                state.next_index += 1;
                return Ok(Some(state.next_index - 1));
            }
        }
    }

    /// Puts the next piece of one input into `buffer`; `false` if it was the last.
    fn fill(&self, input: &mut Input, buffer: &mut Vec<u8>) -> Result<bool> {
        buffer.clear();
        buffer.append(&mut input.carry);
        let lookahead = self.pretokenizer.lookahead(&self.special);
        let mut size = self.piece_size;
        loop {
            let wanted = size.saturating_add(lookahead);
            if !input.read_up_to(wanted, buffer)? {
                return Ok(false);
            }
            if let Some(cut) = self.pretokenizer.last_cut(buffer, size, &self.special) {
                input.carry.extend_from_slice(&buffer[cut..]);
                buffer.truncate(cut);
                return Ok(true);
            }
            // No place to cut: the piece has to grow, by ever more, so that looking stays linear.
            size = size.saturating_mul(2);
        }
    }
}

impl Input {
    fn open(path: PathBuf) -> Result<Self> {
        let file = File::open(&path).map_err(|e| Error::io(&path, "cannot read", &e))?;
        let metadata = file.metadata().map_err(|e| Error::io(&path, "cannot read", &e))?;
        let promised = if metadata.is_file() { metadata.len() } else { 0 };
        Ok(Self { path, reader: Box::new(file), promised, carry: Vec::new() })
    }

    /// Reads until `buffer` holds `wanted` bytes; `false` if the file ended before.
    fn read_up_to(&mut self, wanted: usize, buffer: &mut Vec<u8>) -> Result<bool> {
        let missing = wanted.saturating_sub(buffer.len());
        // A piece that grows, or an absurd size, takes memory as the file fills it.
        buffer.reserve(missing.min(2 * DEFAULT_PIECE_SIZE));
        let read = (&mut self.reader)
            .take(missing as u64)
            .read_to_end(buffer)
            .map_err(|e| Error::io(&self.path, "cannot read", &e))?;
        self.promised = self.promised.saturating_sub(read as u64);
        if read < missing && self.promised > 0 {
            return Err(shorter(&self.path, self.promised));
        }
        Ok(read == missing)
    }
}

fn shorter(path: &Path, missing: u64) -> Error {
    Error::invalid(format!(
        "{} became shorter while it was read: {missing} bytes are missing",
        path.display()
    ))
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("path", &self.path).finish_non_exhaustive()
    }
}
