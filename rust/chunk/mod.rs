//! Inputs -> pieces that are counted or encoded on their own, in bounded memory.
//!
//! A piece ends where a document does, or where no pretoken and no special token can cross
//! ([`Pretokenizer::last_cut`]), so the pieces of an input give the very pretokens of its documents.
//! Whoever works takes the next piece. Plain files are read by all workers at once ([`ranges`]); what has
//! to be unpacked or parsed, or comes through a pipe, by one at a time.

#[cfg(unix)]
mod ranges;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::monitor::Stop;
use crate::piece::{Piece, Place};
use crate::pretokenize::Pretokenizer;
use crate::source::{Format, Source, Stream};
use crate::special::SpecialTokens;
use crate::{Error, Result};

#[cfg(unix)]
use ranges::Ranges;

/// Bytes read at a time: large against the cost of a piece, small against memory.
pub const DEFAULT_PIECE_SIZE: usize = 1 << 20;

/// The pieces of several inputs, one after the other, for any number of workers.
#[derive(Debug)]
pub struct Pieces {
    pretokenizer: Pretokenizer,
    special: SpecialTokens,
    column: String,
    piece_size: usize,
    total_bytes: Option<u64>,
    stop: Stop,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Source>,
    current: Option<Input>,
    /// Where the next piece of `current` begins, or of the next input if there is none.
    place: Place,
    next_index: usize,
}

/// An input that is being read.
#[derive(Debug)]
enum Input {
    /// Front to back, with what was read beyond the end of the last piece.
    Stream(Stream, Vec<u8>),
    /// By several workers at once; and the range that is next.
    #[cfg(unix)]
    Ranges(Arc<Ranges>, u64),
}

/// What a worker has to do outside of the lock.
enum Work {
    Done,
    #[cfg(unix)]
    Read(Arc<Ranges>, u64),
}

impl Pieces {
    /// Prepares to read `inputs` in order. They are looked at, but nothing more than the column is
    /// looked for, now. `column` names the text in formats of records; `format` says what the inputs are,
    /// where their names do not; `stop` ends the waiting for a pipe.
    ///
    /// # Errors
    /// No inputs; one that is missing, unreadable, a folder, or without the column; standard input more
    /// than once.
    pub fn open(
        inputs: &[PathBuf],
        column: &str,
        format: Option<Format>,
        pretokenizer: &Pretokenizer,
        special: &SpecialTokens,
        piece_size: usize,
        stop: Stop,
    ) -> Result<Self> {
        if inputs.is_empty() {
            return Err(Error::invalid("no input files"));
        }
        if piece_size == 0 {
            return Err(Error::invalid("the piece size is 0; it must be at least 1 byte"));
        }
        let sources: VecDeque<Source> =
            inputs.iter().map(|path| Source::new(path, format)).collect::<Result<_>>()?;
        if sources.iter().filter(|source| source.is_stdin()).count() > 1 {
            return Err(Error::invalid("standard input, -, is given twice; it can be read once"));
        }
        sources.iter().try_for_each(|source| source.check_column(column, &stop))?;
        let place = Place::default();
        Ok(Self {
            pretokenizer: pretokenizer.clone(),
            special: special.clone(),
            column: column.to_owned(),
            piece_size,
            total_bytes: sources.iter().map(Source::size).sum(),
            stop,
            state: Mutex::new(State { waiting: sources, current: None, place, next_index: 0 }),
        })
    }

    /// Begins at a place where a piece of the same inputs began before; pieces are then numbered from
    /// there. Plain files are not read up to there, others are. Returns the bytes of the files that are
    /// passed over, as far as no piece will have them as its progress.
    #[must_use]
    pub fn begin_at(&self, place: Place) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = place.input.min(state.waiting.len());
        let sizes = state.waiting.drain(..passed).filter_map(|source| source.size()).sum::<u64>();
        state.place = place;
        match state.waiting.front() {
            Some(source) if self.has_ranges(source) => sizes + place.offset,
            _ => sizes,
        }
    }

    /// The size of all files, packed as they are; `None` where one of the inputs has none.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// Puts the next piece into `piece` and returns its index, 0, 1, 2 ... in the order of the text;
    /// `None` when there are no more. A piece can be empty, where a file could not be cut.
    ///
    /// # Errors
    /// An input cannot be opened or read, is damaged, or has become shorter since it was opened.
    /// There are no more pieces after an error.
    pub fn next(&self, piece: &mut Piece) -> Result<Option<usize>> {
        let (index, work) = match self.locked(|state| self.advance(state, piece))? {
            Some(found) => found,
            None => return Ok(None),
        };
        match work {
            Work::Done => {}
            #[cfg(unix)]
            Work::Read(ranges, range) => {
                let read = ranges.read(range, &self.pretokenizer, &self.special, piece);
                self.locked(|_| read)?;
            }
        }
        Ok(Some(index))
    }

    /// Does something with the state; there is nothing left in it if that fails.
    fn locked<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        // A worker that panicked while it held the lock left a state that is still in order.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut state).inspect_err(|_| {
            state.waiting.clear();
            state.current = None;
        })
    }

    fn advance(&self, state: &mut State, piece: &mut Piece) -> Result<Option<(usize, Work)>> {
        loop {
            let Some(input) = &mut state.current else {
                let Some(source) = state.waiting.pop_front() else { return Ok(None) };
                state.current = Some(self.begin(&source, state.place)?);
                continue;
            };
            let (more, work) = match input {
                Input::Stream(stream, carry) => {
                    let more = self.fill(stream, carry, piece)?;
                    piece.place = state.place;
                    state.place.offset += piece.size() as u64;
                    (more, Work::Done)
                }
                #[cfg(unix)]
                Input::Ranges(ranges, next) => {
                    *next += 1;
                    (*next < ranges.count(), Work::Read(Arc::clone(ranges), *next - 1))
                }
            };
            if !more {
                state.current = None;
                state.place = Place { input: state.place.input + 1, offset: 0 };
            }
            if !matches!(work, Work::Done) || !piece.is_empty() {
                state.next_index += 1;
                return Ok(Some((state.next_index - 1, work)));
            }
        }
    }

    fn begin(&self, source: &Source, place: Place) -> Result<Input> {
        #[cfg(unix)]
        if self.has_ranges(source)
            && let Some(ranges) = Ranges::open(source, place, self.piece_size)?
        {
            return Ok(Input::Ranges(Arc::new(ranges), 0));
        }
        let mut stream = source.open(&self.column, &self.stop)?;
        stream.skip(place.offset, &self.stop)?;
        Ok(Input::Stream(stream, Vec::new()))
    }

    /// Whether an input can be read from any place on: no pattern of which nobody knows what it looks at,
    /// and nothing that has to be unpacked.
    fn has_ranges(&self, source: &Source) -> bool {
        cfg!(unix) && source.is_plain_file() && self.pretokenizer.cuts_are_local()
    }

    /// Puts the next piece of one input into `piece`; `false` if it was the last.
    fn fill(&self, stream: &mut Stream, carry: &mut Vec<u8>, piece: &mut Piece) -> Result<bool> {
        piece.clear();
        piece.bytes.append(carry);
        let lookahead = self.pretokenizer.lookahead(&self.special);
        let mut size = self.piece_size;
        loop {
            let wanted = size.saturating_add(lookahead);
            if !stream.fill(wanted, piece)? {
                return Ok(false);
            }
            if let Some(cut) = self.last_cut(piece, size) {
                carry.extend_from_slice(&piece.bytes[cut..]);
                piece.bytes.truncate(cut);
                return Ok(true);
            }
            // No place to cut: the piece has to grow, by ever more, so that looking stays linear.
            size = size.saturating_mul(2);
        }
    }

    /// Behind the last document that ends in a piece; within the only one, where that can be cut.
    fn last_cut(&self, piece: &Piece, size: usize) -> Option<usize> {
        let within = || self.pretokenizer.last_cut(&piece.bytes, size, &self.special);
        piece.ends.last().copied().or_else(within)
    }
}
