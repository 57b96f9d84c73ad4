//! A plain file, read by all workers at once, each its own ranges.
//!
//! Where a piece is cut follows from a few bytes on both sides, and from nothing before them. So whoever
//! works on a range finds both of its borders alone, and finds what the neighbours find.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::piece::{Piece, Place};
use crate::pretokenize::Pretokenizer;
use crate::source::Source;
use crate::special::SpecialTokens;
use crate::{Error, Result};

/// Bytes before a range's end in which the last place to cut is looked for; there nearly always is one.
const WINDOW: u64 = 1 << 12;

/// A file in ranges of equal length, each of which is one piece, or none where it cannot be cut off.
#[derive(Debug)]
pub struct Ranges {
    file: File,
    path: PathBuf,
    size: u64,
    /// Where the first range begins.
    begin: Place,
    length: u64,
}

impl Ranges {
    /// Opens a plain file to be read in ranges of `length` bytes, at least 1, from a place on where a
    /// piece may begin; `None` where nothing is left.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(source: &Source, begin: Place, length: usize) -> Result<Option<Self>> {
        let failed = |e| Error::io(source.path(), "cannot read", &e);
        let file = File::open(source.path()).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let (path, length) = (source.path().to_path_buf(), length as u64);
        Ok((size > begin.offset).then_some(Self { file, path, size, begin, length }))
    }

    /// How many ranges there are.
    pub fn count(&self) -> u64 {
        (self.size - self.begin.offset).div_ceil(self.length)
    }

    /// Puts into `piece` what begins in a range: nothing, or the text up to the next place where a later
    /// range begins.
    ///
    /// # Errors
    /// The file cannot be read, or has become shorter since it was opened.
    pub fn read(
        &self,
        range: u64,
        pretokenizer: &Pretokenizer,
        special: &SpecialTokens,
        piece: &mut Piece,
    ) -> Result<()> {
        piece.clear();
        let mut cut_before = |range: u64| self.cut(range, pretokenizer, special, &mut piece.bytes);
        let first = Some(self.begin.offset);
        let Some(start) = (if range == 0 { first } else { cut_before(range)? }) else {
            piece.bytes.clear();
            return Ok(());
        };
        let mut end = self.size;
        for later in range + 1..self.count() {
            if let Some(cut) = cut_before(later)? {
                end = cut;
                break;
            }
        }
        self.read_at(start, end, &mut piece.bytes)?;
        piece.progress = end - start;
        piece.place = Place { offset: start, ..self.begin };
        if end == self.size {
            piece.end_document();
        }
        Ok(())
    }

    /// The last place to cut in the window that ends where a range begins.
    fn cut(
        &self,
        range: u64,
        pretokenizer: &Pretokenizer,
        special: &SpecialTokens,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<u64>> {
        let border = self.begin.offset + range * self.length;
        // Places at or before the border that belong to no other border's window.
        let first = border - WINDOW.min(self.length) + 1;
        let context = pretokenizer.lookahead(special) as u64;
        let begin = first.saturating_sub(context);
        self.read_at(begin, self.size.min(border + context), buffer)?;
        let places = (first - begin) as usize..(border - begin) as usize + 1;
        let cut = pretokenizer.local_cut(buffer, places, special);
        Ok(cut.map(|cut| begin + cut as u64))
    }

    fn read_at(&self, start: u64, end: u64, buffer: &mut Vec<u8>) -> Result<()> {
        let length = usize::try_from(end - start).map_err(|_| {
            Error::invalid(format!("{}: no place to cut it fits into memory", self.path.display()))
        })?;
        // What was used before is not cleared again.
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        buffer.truncate(length);
        self.file.read_exact_at(buffer, start).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.shorter(),
            _ => Error::io(&self.path, "cannot read", &error),
        })
    }

    fn shorter(&self) -> Error {
        let missing = self.size - self.file.metadata().map_or(0, |now| now.len().min(self.size));
        let what = format!("became shorter while it was read: {missing} bytes are missing");
        Error::io(&self.path, "cannot read", &io::Error::other(what))
    }
}
