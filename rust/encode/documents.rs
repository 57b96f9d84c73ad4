//! Encoded pieces -> token files with an index of documents, of a limited number of ids each.

use crc32fast::Hasher;

use super::TokenId;
use super::indexed_file::IndexedFile;
use super::ordered::{Block, Writer};
use crate::Result;
use crate::piece::Place;

/// Where files come from and go to.
pub(super) trait Files: Send {
    /// Begins the next one.
    fn create(&mut self) -> Result<IndexedFile>;

    /// One is complete. `continues`: it begins within a document. `next` is where the one after it begins.
    fn finish(&mut self, file: IndexedFile, continues: bool, next: Point) -> Result<()>;
}

/// A point in the ids of the inputs: where a file ends and the next one begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    /// Where a piece begins, whatever the size of pieces.
    pub place: Place,
    /// Ids and ends of documents from there to the point.
    pub ids: u64,
    pub ends: u64,
    /// Bytes of text before the place.
    pub bytes: u64,
    /// Whether the point is within a document.
    pub in_document: bool,
    /// Whether the document before the point was ended by a token: an input that ends here has no other.
    pub after_token: bool,
}

/// Puts ids into files, in order. A document goes into one file as a whole, unless it alone is too
/// long for one: then it begins a file, and is cut where that is full.
///
/// Where files end follows from the ids and the documents, not from blocks.
pub(super) struct DocumentWriter<F> {
    files: F,
    /// Ids in a file at most, at least 1.
    limit: u64,
    current: Option<Current>,
    here: Point,
    /// Ids and ends that an earlier run has dealt with already.
    skip: (u64, u64),
}

/// The file that is being filled.
struct Current {
    file: IndexedFile,
    continues: bool,
    /// Behind the last document that ended in it: how many ids, their sum, and where that is.
    whole: (u64, Hasher, Point),
}

impl Current {
    fn new(file: IndexedFile, continues: bool) -> Self {
        Self { file, continues, whole: (0, Hasher::new(), Point::default()) }
    }
}

impl<T: TokenId, F: Files> Writer<T> for DocumentWriter<F> {
    fn append(&mut self, block: &Block<T>) -> Result<()> {
        if block.is_empty() && block.ends.is_empty() {
            // Of a piece that could not be cut off, which begins nowhere.
            return Ok(());
        }
        self.here = Point { place: block.place, ids: 0, ends: 0, ..self.here };
        let mut begin = 0;
        for end in &block.ends {
            self.push(&block[begin..end.at()])?;
            self.end_document(end.by_token())?;
            begin = end.at();
        }
        self.push(&block[begin..])?;
        self.here.bytes += block.bytes;
        Ok(())
    }
}

impl<F: Files> DocumentWriter<F> {
    /// Begins at a point in the inputs, whose first piece is to begin at its place.
    pub fn new(files: F, limit: u64, from: Point) -> Self {
        Self { files, limit, current: None, here: from, skip: (from.ids, from.ends) }
    }

    /// Finishes the last file; returns where the others went, and the bytes of the text.
    pub fn finish(mut self) -> Result<(F, u64)> {
        if let Some(Current { file, continues, .. }) = self.current.take() {
            self.files.finish(file, continues, self.here)?;
        }
        Ok((self.files, self.here.bytes))
    }

    fn push<T: TokenId>(&mut self, mut ids: &[T]) -> Result<()> {
        let skipped = self.skip.0.min(ids.len() as u64);
        self.skip.0 -= skipped;
        self.here.ids += skipped;
        ids = &ids[skipped as usize..];
        while !ids.is_empty() {
            let limit = self.limit;
            let current = self.current(self.here.in_document)?;
            let room = usize::try_from(limit - current.file.tokens).unwrap_or(usize::MAX);
            if room < ids.len() && current.whole.0 > 0 {
                self.finish_whole()?;
                continue;
            }
            let (now, later) = ids.split_at(room.min(ids.len()));
            current.file.push(now)?;
            self.here.ids += now.len() as u64;
            self.here.in_document = true;
            if !later.is_empty() {
                self.finish_cut()?;
            }
            ids = later;
        }
        Ok(())
    }

    fn end_document(&mut self, by_token: bool) -> Result<()> {
        self.here.ends += 1;
        if self.skip.1 > 0 {
            self.skip.1 -= 1;
            return Ok(());
        }
        let before = self.here;
        (self.here.in_document, self.here.after_token) = (false, by_token);
        // Behind the token that ended the last document of a text there is no other, empty one.
        let none = !by_token && before.after_token && !before.in_document;
        if !none {
            self.current(before.in_document)?.file.end_document()?;
        }
        let here = self.here;
        if let Some(Current { file, whole, .. }) = &mut self.current {
            *whole = (file.tokens, file.sum.clone(), here);
        }
        Ok(())
    }

    fn current(&mut self, continues: bool) -> Result<&mut Current> {
        match &mut self.current {
            Some(current) => Ok(current),
            none => Ok(none.insert(Current::new(self.files.create()?, continues))),
        }
    }

    /// The file is full: the document at hand moves to the next one.
    fn finish_whole(&mut self) -> Result<()> {
        if let Some(Current { mut file, continues, whole: (tokens, sum, point) }) =
            self.current.take()
        {
            let mut next = self.files.create()?;
            file.move_tail(tokens, sum, &mut next)?;
            self.files.finish(file, continues, point)?;
            self.current = Some(Current::new(next, false));
        }
        Ok(())
    }

    /// The file is full of one document: that goes on in the next one.
    fn finish_cut(&mut self) -> Result<()> {
        if let Some(Current { mut file, continues, .. }) = self.current.take() {
            file.end_document()?;
            self.files.finish(file, continues, self.here)?;
        }
        Ok(())
    }
}
