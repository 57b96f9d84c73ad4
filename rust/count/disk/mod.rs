//! Counts on disk, in files that are written, read and added up as streams.
//!
//! Little-endian: the magic, a version, the length of a JSON header (pattern, special tokens, and what
//! was left out, if something was), the header, the number of entries, the entries in the order of their
//! pretokens (LEB128 numbers: bytes shared with the one before, bytes that follow, those bytes, the
//! count), and a CRC-32 of all that.

mod file;
mod header;
mod merge;
mod reader;
mod runs;
mod writer;

pub use file::{CountsFile, Sums, add_files};

use header::Header;
pub(super) use merge::merge;
pub(super) use runs::{Runs, open_runs, write_run};

const MAGIC: &[u8; 16] = b"byteloom counts\n";
const VERSION: u32 = 1;

/// Bytes that are read or written at a time.
const BLOCK: usize = 1 << 16;

/// Files that are read at once: few enough to be open, enough to read each count only once or twice.
const FAN_IN: usize = 16;
