//! A token file beside its index of documents, while both grow.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use super::TokenId;
use super::token_file::{Format, little_endian, npy_header};
use crate::Result;
use crate::atomic::{PartFile, begin_writing_out, write_all_at};

/// Bytes that are written at a time.
const BUFFER: usize = 1 << 20;

/// Bytes of a place in the index.
const PLACE: usize = size_of::<u64>();

/// The name of the index of a token file: `tokens.npy` has `tokens.documents.npy`.
pub(super) fn index_path(tokens: &Path) -> PathBuf {
    tokens.with_extension("documents.npy")
}

/// Two files that appear together when they are complete: ids; and n + 1 places among them, in 8 bytes
/// each, between which n documents stand.
#[derive(Debug)]
pub(super) struct IndexedFile {
    ids: Growing,
    index: Growing,
    format: Format,
    width: usize,
    /// Ids so far.
    pub tokens: u64,
    /// Documents that ended so far.
    pub documents: u64,
    /// Of the ids' bytes.
    pub sum: Hasher,
}

impl IndexedFile {
    pub fn create(path: &Path, width: usize) -> Result<Self> {
        let format = Format::of(path)?;
        let mut ids = Growing::create(path)?;
        ids.append(&format.header(width, 0))?;
        let mut index = Growing::create(&index_path(path))?;
        index.append(&npy_header(PLACE, 0))?;
        index.append(&0u64.to_le_bytes())?;
        let sum = Hasher::new();
        Ok(Self { ids, index, format, width, tokens: 0, documents: 0, sum })
    }

    pub fn push<T: TokenId>(&mut self, ids: &[T]) -> Result<()> {
        self.push_bytes(&little_endian(ids))
    }

    fn push_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.sum.update(bytes);
        self.tokens += (bytes.len() / self.width) as u64;
        self.ids.append(bytes)
    }

    /// A document, or as much of it as goes into this file, ends here.
    pub fn end_document(&mut self) -> Result<()> {
        self.documents += 1;
        self.index.append(&self.tokens.to_le_bytes())
    }

    /// Moves all behind the first `tokens` ids, whose sum is `sum`, to the end of another file. No document
    /// may have ended there.
    pub fn move_tail(&mut self, tokens: u64, sum: Hasher, other: &mut Self) -> Result<()> {
        let place =
            |ids: u64| self.format.header(self.width, 0).len() as u64 + ids * self.width as u64;
        let (mut from, end) = (place(tokens), place(self.tokens));
        self.ids.flush()?;
        let mut bytes = Vec::new();
        while from < end {
            bytes.resize((end - from).min(BUFFER as u64) as usize, 0);
            self.ids.read(from, &mut bytes)?;
            other.push_bytes(&bytes)?;
            from += bytes.len() as u64;
        }
        self.ids.truncate(place(tokens))?;
        (self.tokens, self.sum) = (tokens, sum);
        Ok(())
    }

    /// Gives both files their names; returns the CRC-32 of the token file.
    pub fn commit(mut self) -> Result<u32> {
        let header = self.format.header(self.width, self.tokens);
        let mut sum = Hasher::new();
        sum.update(&header);
        sum.combine(&self.sum);
        self.ids.finish(&header)?;
        self.index.finish(&npy_header(PLACE, self.documents + 1))?;
        // Whatever happens between, no index stands beside ids that it is not of.
        self.index.part.remove_old()?;
        self.ids.part.commit()?;
        self.index.part.commit()?;
        Ok(sum.finalize())
    }
}

/// A file to the end of which bytes are put.
#[derive(Debug)]
struct Growing {
    part: PartFile,
    buffer: Vec<u8>,
    /// Bytes before those in the buffer.
    written: u64,
}

impl Growing {
    fn create(path: &Path) -> Result<Self> {
        Ok(Self { part: PartFile::create(path)?, buffer: Vec::new(), written: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let written = write_all_at(self.part.file(), self.written, &self.buffer);
        written.map_err(|error| self.part.explain(&error))?;
        begin_writing_out(self.part.file(), self.written, self.buffer.len() as u64);
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Fills a buffer from a place in what is in the file already.
    fn read(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        let mut file = self.part.file();
        let read = file.seek(SeekFrom::Start(from)).and_then(|_| file.read_exact(bytes));
        read.map_err(|error| self.part.explain(&error))
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        self.written = length;
        self.part.file().set_len(length).map_err(|error| self.part.explain(&error))
    }

    /// Writes what is left, and the header.
    fn finish(&mut self, header: &[u8]) -> Result<()> {
        self.flush()?;
        write_all_at(self.part.file(), 0, header).map_err(|error| self.part.explain(&error))
    }
}
