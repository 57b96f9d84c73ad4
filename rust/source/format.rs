//! What is in an input: what its name says, or what the user does.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::{Error, Result};

/// How a file is compressed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

/// Where the documents are in what is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Text,
    JsonLines,
    Parquet,
}

/// A format that is said instead of being taken from a name: `text`, `jsonl` or `parquet`, with `.gz` or
/// `.zst` behind it where the whole is compressed. Without that the name still says how it is compressed.
///
/// ```
/// use byteloom::source::Format;
/// assert!("jsonl.zst".parse::<Format>().is_ok());
/// assert!("csv".parse::<Format>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    layout: Layout,
    packing: Option<Packing>,
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let (packing, layout) = packing(name);
        let layout = match layout {
            "text" => Layout::Text,
            "jsonl" => Layout::JsonLines,
            "parquet" if packing.is_none() => Layout::Parquet,
            _ => {
                return Err(Error::invalid(format!(
                    "format is {name:?}; it must be text, jsonl or parquet, where text and jsonl may \
                     have .gz or .zst behind them"
                )));
            }
        };
        Ok(Self { layout, packing })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.layout {
            Layout::Text => "text",
            Layout::JsonLines => "jsonl",
            Layout::Parquet => "parquet",
        })?;
        f.write_str(match self.packing {
            None | Some(Packing::None) => "",
            Some(Packing::Gzip) => ".gz",
            Some(Packing::Zstd) => ".zst",
        })
    }
}

/// What an input is: what is said, else by the end of its name, in capitals or not.
pub(super) fn find(path: &Path, said: Option<Format>) -> (Packing, Layout) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let (by_name, name) = packing(&name);
    let layout = match (said, name.rsplit_once('.')) {
        (Some(said), _) => said.layout,
        (None, Some((_, "jsonl"))) => Layout::JsonLines,
        (None, Some((_, "parquet"))) => Layout::Parquet,
        (None, _) => Layout::Text,
    };
    let packing = said.and_then(|said| said.packing).or(by_name).unwrap_or(Packing::None);
    (packing, layout)
}

/// How something is compressed by the end of its name, and the name without that.
fn packing(name: &str) -> (Option<Packing>, &str) {
    if let Some(name) = name.strip_suffix(".gz") {
        (Some(Packing::Gzip), name)
    } else if let Some(name) = name.strip_suffix(".zst") {
        (Some(Packing::Zstd), name)
    } else {
        (None, name)
    }
}
