//! Many sorted files -> their sums, in order, with one entry of each in memory.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::reader::Reader;
use crate::{Error, Monitor, Result};

/// Entries between two looks at the monitor.
const PATIENCE: usize = 1 << 16;

/// A reader that knows where from.
#[derive(Debug)]
pub struct Input<R> {
    reader: Reader<R>,
    path: PathBuf,
}

impl Input<File> {
    /// A file of counts.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, "cannot read", &e))?;
        Self::new(file, path)
    }
}

impl<R: Read> Input<R> {
    /// Counts that come from `path`, or so errors will say.
    pub fn new(input: R, path: &Path) -> Result<Self> {
        let reader = Reader::open(input).map_err(|failure| failure.of(path))?;
        Ok(Self { reader, path: path.to_owned() })
    }

    pub fn reader(&self) -> &Reader<R> {
        &self.reader
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn advance(&mut self) -> Result<bool> {
        self.reader.advance().map_err(|failure| failure.of(&self.path))
    }
}

/// Calls `sink` with every pretoken and the sum of its counts, in the order of the pretokens.
///
/// # Errors
/// A file is damaged, which may be noticed only at its end, after `sink` has seen what was in it; or
/// those of `sink`.
pub fn merge<R: Read>(
    inputs: Vec<Input<R>>,
    monitor: &Monitor,
    mut sink: impl FnMut(&[u8], u64) -> Result<()>,
) -> Result<()> {
    let mut heads = BinaryHeap::with_capacity(inputs.len());
    for mut input in inputs {
        if input.advance()? {
            heads.push(Head(input));
        }
    }
    let mut pretoken = Vec::new();
    let mut entries = 0;
    while let Some(Head(least)) = heads.peek() {
        pretoken.clear();
        pretoken.extend_from_slice(least.reader.pretoken());
        let mut count = 0u64;
        while let Some(mut head) = heads.peek_mut()
            && head.0.reader.pretoken() == pretoken
        {
            count = count.saturating_add(head.0.reader.count());
            if !head.0.advance()? {
                PeekMut::pop(head);
            }
        }
        sink(&pretoken, count)?;
        entries += 1;
        if entries % PATIENCE == 0 {
            monitor.check()?;
        }
    }
    monitor.check()
}

/// The greatest has the least pretoken: so the heap wants it.
struct Head<R>(Input<R>);

impl<R: Read> Ord for Head<R> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.reader.pretoken().cmp(self.0.reader.pretoken())
    }
}

impl<R: Read> PartialOrd for Head<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Read> PartialEq for Head<R> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<R: Read> Eq for Head<R> {}
