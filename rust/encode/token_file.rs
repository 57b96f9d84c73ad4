//! Ids as they lie in files: numpy's format, or nothing but ids.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use super::TokenId;
use super::ordered::{Block, Queue};
use super::stream::Sink;
use crate::atomic::{PartFile, begin_writing_out, write_all_at};
use crate::{Error, Result};

/// Bytes of [`npy_header`].
pub(super) const HEADER: usize = 128;

/// The file formats, by the name's ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// numpy's, one-dimensional.
    Npy,
    /// Ids and nothing else.
    Raw,
}

impl Format {
    pub fn of(output: &Path) -> Result<Self> {
        match output.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Ok(Self::Npy),
            Some("bin") => Ok(Self::Raw),
            _ => Err(Error::invalid(format!(
                "{}: a token file's name ends in .npy (numpy) or .bin (raw ids)",
                output.display()
            ))),
        }
    }

    /// What stands before `ids` ids of `width` bytes.
    pub fn header(self, width: usize, ids: u64) -> Vec<u8> {
        match self {
            Self::Npy => npy_header(width, ids).to_vec(),
            Self::Raw => Vec::new(),
        }
    }
}

/// Writes blocks into a file, each where it belongs, by all threads at once.
pub(super) struct TokenFileWriter<'f, T> {
    part: &'f PartFile,
    format: Format,
    /// Where in the file the first id goes.
    first: u64,
    /// And how many ids stand before the next block.
    queue: Queue<T, u64>,
}

impl<'f, T: TokenId> TokenFileWriter<'f, T> {
    /// Begins an empty file, with room for the header.
    pub fn new(part: &'f PartFile, format: Format, threads: usize) -> Result<Self> {
        let header = format.header(size_of::<T>(), 0);
        write_all_at(part.file(), 0, &header).map_err(|error| part.explain(&error))?;
        let first = header.len() as u64;
        Ok(Self { part, format, first, queue: Queue::new(threads, 0) })
    }

    /// Writes the header, now that the number of ids is known, and returns that.
    pub fn finish(self) -> Result<u64> {
        let ids = self.queue.lock().shared;
        let header = self.format.header(size_of::<T>(), ids);
        write_all_at(self.part.file(), 0, &header).map_err(|error| self.part.explain(&error))?;
        Ok(ids)
    }

    fn write(&self, blocks: &[Block<T>], mut ids: u64) -> io::Result<()> {
        let place = |ids: u64| self.first + ids * size_of::<T>() as u64;
        let begin = place(ids);
        for block in blocks {
            write_all_at(self.part.file(), place(ids), &little_endian(block))?;
            ids += block.len as u64;
        }
        begin_writing_out(self.part.file(), begin, place(ids) - begin);
        Ok(())
    }
}

impl<T: TokenId> Sink<T> for TokenFileWriter<'_, T> {
    fn spare(&self) -> Block<T> {
        self.queue.spare()
    }

    fn put(&self, index: usize, block: Block<T>, stop: &dyn Fn() -> bool) -> Result<()> {
        // All that is in order now has its place in the file; writing there is nobody else's concern.
        let mut state = self.queue.put(index, block, stop);
        let ready = self.queue.take(&mut state);
        let ids = state.shared;
        state.shared += ready.iter().map(|block| block.len as u64).sum::<u64>();
        drop(state);
        if !ready.is_empty() {
            self.write(&ready, ids).map_err(|error| self.part.explain(&error))?;
            self.queue.lock().keep(ready);
        }
        Ok(())
    }
}

/// Ids as they lie in memory: little-endian as in the file on every processor that the wheels are built
/// for; elsewhere their bytes are swapped.
pub(super) fn little_endian<T: TokenId>(ids: &[T]) -> Cow<'_, [u8]> {
    let bytes: &[u8] = bytemuck::cast_slice(ids);
    if cfg!(target_endian = "little") {
        return Cow::Borrowed(bytes);
    }
    let mut bytes = bytes.to_vec();
    bytes.chunks_exact_mut(size_of::<T>()).for_each(<[u8]>::reverse);
    Cow::Owned(bytes)
}

/// The header of a one-dimensional `.npy` file of unsigned integers, format version 1.0: always 128 bytes.
pub(super) fn npy_header(width: usize, length: u64) -> [u8; HEADER] {
    let text = format!("{{'descr': '<u{width}', 'fortran_order': False, 'shape': ({length},), }}");
    let mut header = [b' '; HEADER];
    header[..8].copy_from_slice(b"\x93NUMPY\x01\x00");
    header[8..10].copy_from_slice(&118u16.to_le_bytes());
    header[10..10 + text.len()].copy_from_slice(text.as_bytes());
    header[127] = b'\n';
    header
}
