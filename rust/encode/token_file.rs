//! Ids as they lie in files: numpy's format, or nothing but ids.

use std::borrow::Cow;
use std::path::Path;

use super::TokenId;
use super::ordered::{Block, Writer};
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

/// Bytes that the system is told at once to put on the disk.
const WRITTEN_OUT: u64 = 1 << 22;

/// Writes blocks into a file, one behind the other.
pub(super) struct TokenFileWriter<'f> {
    part: &'f PartFile,
    format: Format,
    /// Bytes of an id.
    width: usize,
    ids: u64,
    /// Bytes of the file so far, and how many of them are on their way to the disk.
    end: u64,
    written_out: u64,
}

impl<'f> TokenFileWriter<'f> {
    /// Begins an empty file, with room for the header.
    pub fn new(part: &'f PartFile, format: Format, width: usize) -> Result<Self> {
        let mut writer = Self { part, format, width, ids: 0, end: 0, written_out: 0 };
        writer.end = writer.write_header()?;
        Ok(writer)
    }

    /// Writes the header, now that the number of ids is known, and returns that.
    pub fn finish(self) -> Result<u64> {
        self.write_header()?;
        Ok(self.ids)
    }

    fn write_header(&self) -> Result<u64> {
        let header = self.format.header(self.width, self.ids);
        write_all_at(self.part.file(), 0, &header).map_err(|error| self.part.explain(&error))?;
        Ok(header.len() as u64)
    }
}

impl<T: TokenId> Writer<T> for TokenFileWriter<'_> {
    fn append(&mut self, block: &Block<T>) -> Result<()> {
        let written = write_all_at(self.part.file(), self.end, &little_endian(block));
        written.map_err(|error| self.part.explain(&error))?;
        self.ids += block.len as u64;
        self.end += size_of_val::<[T]>(block) as u64;
        let new = self.end - self.written_out;
        if new >= WRITTEN_OUT {
            begin_writing_out(self.part.file(), self.written_out, new);
            self.written_out = self.end;
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
