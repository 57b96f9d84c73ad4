//! Inputs -> documents: plain or compressed text, JSON lines, Parquet; files, pipes, standard input.
//!
//! What an input is, its name says: `.gz` and `.zst` are unpacked; in `.jsonl` (packed or not) and
//! `.parquet` every record is a document of its own; anything else is one text. `-` is standard input,
//! which is plain text. All are read front to back, a little at a time: memory follows the longest
//! record of JSON lines and the largest page of Parquet, and nothing else.

mod bytes;
mod jsonl;
mod parquet;
mod patient;
mod stream;

use std::path::{Path, PathBuf};

use crate::monitor::Stop;
use crate::{Error, Result};

pub use stream::Stream;

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

/// How a file is compressed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

/// Where the documents are in what is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Text,
    JsonLines,
    Parquet,
}

impl Source {
    /// Looks at an input, without reading it.
    ///
    /// # Errors
    /// It is missing or a folder; a Parquet file that is compressed as a whole or no regular file.
    pub fn new(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            let (packing, layout) = (Packing::None, Layout::Text);
            return Ok(Self { path: path.to_path_buf(), size: None, packing, layout });
        }
        let metadata = path.metadata().map_err(|e| Error::io(path, "cannot read", &e))?;
        if metadata.is_dir() {
            let error = std::io::Error::from(std::io::ErrorKind::IsADirectory);
            return Err(Error::io(path, "cannot read", &error));
        }
        let size = metadata.is_file().then_some(metadata.len());
        let (packing, layout) = formats(path);
        if layout == Layout::Parquet && (packing != Packing::None || size.is_none()) {
            return Err(Error::invalid(format!(
                "{}: Parquet is read from its end, so it must be a file on disk, and not compressed \
                 as a whole",
                path.display()
            )));
        }
        Ok(Self { path: path.to_path_buf(), size, packing, layout })
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
        let bytes = || bytes::Bytes::open(self, stop);
        Ok(match self.layout {
            Layout::Text => Stream::text(bytes()?),
            Layout::JsonLines => Stream::records(jsonl::JsonLines::new(bytes()?, column)),
            Layout::Parquet => Stream::records(parquet::Parquet::open(&self.path, column)?),
        })
    }

    /// What to call it in a message.
    fn name(&self) -> String {
        if self.is_stdin() { "standard input".into() } else { self.path.display().to_string() }
    }
}

/// What a file is by the end of its name, in capitals or not.
fn formats(path: &Path) -> (Packing, Layout) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let (packing, name) = if let Some(name) = name.strip_suffix(".gz") {
        (Packing::Gzip, name)
    } else if let Some(name) = name.strip_suffix(".zst") {
        (Packing::Zstd, name)
    } else {
        (Packing::None, name.as_str())
    };
    let layout = match name.rsplit_once('.') {
        Some((_, "jsonl")) => Layout::JsonLines,
        Some((_, "parquet")) => Layout::Parquet,
        _ => Layout::Text,
    };
    (packing, layout)
}
