//! Inputs -> documents: plain or compressed text, JSON lines, Parquet; files, pipes, standard input.
//!
//! What an input is, its name says, unless a [`Format`] is given: `.gz` and `.zst` are unpacked; in
//! `.jsonl` (packed or not) and `.parquet` every record is a document of its own; anything else is one
//! text. `-` is standard input, which is plain text. All are read front to back, a little at a time:
//! memory follows the longest record of JSON lines and the largest page of Parquet, and nothing else.

mod bytes;
mod format;
mod jsonl;
mod page_header;
mod pages;
mod parquet;
mod patient;
mod quiet;
mod stream;

use std::path::{Path, PathBuf};

use crate::monitor::Stop;
use crate::{Error, Result};

pub use format::Format;
pub use stream::Stream;

use format::{Layout, Packing};
use stream::Records;

/// The key or column that holds the text, unless another is named.
pub const DEFAULT_COLUMN: &str = "text";

/// An input: where its bytes come from and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    path: PathBuf,
    /// Of a regular file, when it was looked at.
    size: Option<u64>,
    packing: Packing,
    layout: Layout,
}

impl Source {
    /// Looks at an input, without reading it. What it is, its name says, unless `format` does.
    ///
    /// # Errors
    /// It is missing or a folder; a Parquet file that is compressed as a whole or no regular file.
    pub fn new(path: &Path, format: Option<Format>) -> Result<Self> {
        let (packing, layout) = format::find(path, format);
        let mut source = Self { path: path.to_path_buf(), size: None, packing, layout };
        if !source.is_stdin() {
            let metadata = path.metadata().map_err(|e| Error::io(path, "cannot read", &e))?;
            if metadata.is_dir() {
                let error = std::io::Error::from(std::io::ErrorKind::IsADirectory);
                return Err(Error::io(path, "cannot read", &error));
            }
            source.size = metadata.is_file().then_some(metadata.len());
        }
        if layout == Layout::Parquet && (packing != Packing::None || source.size.is_none()) {
            return Err(Error::invalid(format!(
                "{}: Parquet is read from its end, so it must be a file on disk, and not compressed \
                 as a whole",
                source.name()
            )));
        }
        Ok(source)
    }

    /// The path, `-` for standard input.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file, packed as they are; `None` for a pipe, a device and standard input.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Whether this is standard input, which can be read once only.
    #[must_use]
    pub fn is_stdin(&self) -> bool {
        self.path == Path::new("-")
    }

    /// Whether the bytes of the file are the text and can be read from any place on: a regular file
    /// in no other format.
    #[must_use]
    pub fn is_plain_file(&self) -> bool {
        self.size.is_some() && self.packing == Packing::None && self.layout == Layout::Text
    }

    /// Opens it, to be read front to back. `column` names the text in JSON lines and Parquet; `stop`
    /// ends the waiting for a pipe that gives nothing.
    ///
    /// # Errors
    /// It cannot be opened; a Parquet file that is damaged or has no such column of text.
    pub fn open(&self, column: &str, stop: &Stop) -> Result<Stream> {
        Ok(match self.records(column, stop)? {
            Some(records) => Stream::records(records),
            None => Stream::text(bytes::Bytes::open(self, stop)?),
        })
    }

    /// Looks whether a file of records has texts in `column`, as far as its first record, or Parquet's
    /// schema, tells: better now than when everything before it has been worked through.
    ///
    /// # Errors
    /// It cannot be read; it has no such key or column: the message names those that it has.
    pub fn check_column(&self, column: &str, stop: &Stop) -> Result<()> {
        if self.size.is_some()
            && let Some(mut records) = self.records(column, stop)?
            && self.layout == Layout::JsonLines
        {
            records.next(&mut Vec::new())?;
        }
        Ok(())
    }

    fn records(&self, column: &str, stop: &Stop) -> Result<Option<Box<dyn Records>>> {
        Ok(match self.layout {
            Layout::Text => None,
            Layout::JsonLines => {
                let bytes = bytes::Bytes::open(self, stop)?;
                Some(Box::new(jsonl::JsonLines::new(bytes, column)))
            }
            Layout::Parquet => Some(Box::new(parquet::Parquet::open(&self.path, column)?)),
        })
    }

    /// What to call it in a message.
    fn name(&self) -> String {
        if self.is_stdin() { "standard input".into() } else { self.path.display().to_string() }
    }
}
