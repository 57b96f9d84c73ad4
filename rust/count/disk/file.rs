//! Counts that were made once, to be trained from as often as one likes.

use std::io;
use std::path::{Path, PathBuf};

use super::merge::{Input, merge};
use super::reader::{Failure, Reader};
use super::writer::Writer;
use super::{FAN_IN, Header, Runs, write_run};
use crate::atomic::write_atomic;
use crate::count::levels::{MERGING, collect};
use crate::count::{Counts, Pruned};
use crate::{Error, Monitor, Result};

/// Counts, with the pattern and the special tokens that made them.
#[derive(Clone, Debug)]
pub struct CountsFile {
    /// The regular expression, or a preset's name.
    pub pattern: String,
    /// The special tokens at which the text was split.
    pub special_tokens: Vec<String>,
    /// The counts.
    pub counts: Counts,
}

impl CountsFile {
    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.counts.save(&self.pattern, &self.special_tokens, path)
    }

    /// Reads what [`CountsFile::save`] wrote.
    ///
    /// # Errors
    /// The file cannot be read, is something else, is of a later version, or is damaged.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_sum(&[path.to_owned()], None, &Monitor::new())
    }

    /// Reads several files and adds them up, in no more than `memory_limit` bytes: should the sums need
    /// more, the rarest are left out, and [`Counts::pruned`] says how many.
    ///
    /// # Errors
    /// As for [`CountsFile::load`]; also files of texts that were split differently, no file at all, or
    /// a limit that nothing fits into.
    pub fn load_sum(
        paths: &[PathBuf],
        memory_limit: Option<usize>,
        monitor: &Monitor,
    ) -> Result<Self> {
        let header = common_header(paths)?;
        let mut counts = Counts::new();
        match memory_limit {
            None => {
                for path in paths {
                    merge(vec![Input::open(path)?], monitor, |pretoken, count| {
                        counts.add(pretoken, count);
                        Ok(())
                    })?;
                }
            }
            Some(limit) => {
                let budget = limit.checked_sub(MERGING).ok_or_else(|| {
                    Error::invalid(format!(
                        "a memory limit of {limit} bytes is too low to read counts: {MERGING} is \
                         the least"
                    ))
                })?;
                counts = collect(budget, monitor, |put| merge_files(paths, monitor, put))?;
            }
        }
        counts.pruned = Pruned::sum(counts.pruned, header.pruned);
        Ok(Self { pattern: header.pattern, special_tokens: header.special_tokens, counts })
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let parse = || {
            let mut reader = Reader::open(bytes)?;
            let mut counts = Counts::new();
            while reader.advance()? {
                counts.add(reader.pretoken(), reader.count());
            }
            let Header { pattern, special_tokens, pruned } = reader.header().clone();
            counts.pruned = pruned;
            Ok(Self { pattern, special_tokens, counts })
        };
        parse().map_err(|failure| match failure {
            Failure::Io(error) => error.to_string(),
            Failure::Damage(what) => what,
        })
    }
}

impl Counts {
    /// Writes a [`CountsFile`] of these counts, whole or not at all.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn save(&self, pattern: &str, special_tokens: &[String], path: &Path) -> Result<()> {
        let (pattern, special_tokens) = (pattern.to_owned(), special_tokens.to_owned());
        let header = Header { pattern, special_tokens, pruned: self.pruned };
        write_atomic(path, |file| {
            let mut writer = Writer::new(file, &header)?;
            self.in_order().for_each(|pretoken, count| writer.add(pretoken, count))?;
            writer.finish().map(drop)
        })
    }
}

/// What a file of sums holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Distinct pretokens.
    pub pretokens: u64,
    /// Their occurrences.
    pub occurrences: u64,
}

/// Adds files of counts up into one, in memory that does not follow their size. The output may be one
/// of them: it appears when all are read.
///
/// # Errors
/// As for [`CountsFile::load_sum`], or the output cannot be written.
pub fn add_files(inputs: &[PathBuf], output: &Path, monitor: &Monitor) -> Result<Sums> {
    let header = common_header(inputs)?;
    let mut sums = Sums::default();
    let mut failure = None;
    let written = write_atomic(output, |file| {
        let mut writer = Writer::new(file, &header)?;
        let merged = merge_files(inputs, monitor, &mut |pretoken, count| {
            sums.pretokens += 1;
            sums.occurrences = sums.occurrences.saturating_add(count);
            writer.add(pretoken, count).map_err(|e| Error::io(output, "cannot write", &e))
        });
        // Any error makes `write_atomic` clean up; the one that counts is returned below.
        merged.map_err(|error| {
            failure = Some(error);
            io::Error::from(io::ErrorKind::Other)
        })?;
        writer.finish().map(drop)
    });
    match failure {
        Some(error) => Err(error),
        None => written.map(|()| sums),
    }
}

/// What all headers say; what was left out of each is added up.
fn common_header(paths: &[PathBuf]) -> Result<Header> {
    let (first, others) =
        paths.split_first().ok_or_else(|| Error::invalid("no files of counts"))?;
    let mut header = Input::open(first)?.reader().header().clone();
    for path in others {
        let input = Input::open(path)?;
        header.check_same(first, input.reader().header(), input.path())?;
        header.pruned = Pruned::sum(header.pruned, input.reader().header().pruned);
    }
    Ok(header)
}

/// The sums of files, in the order of the pretokens, in one go or through runs.
fn merge_files(
    paths: &[PathBuf],
    monitor: &Monitor,
    put: &mut dyn FnMut(&[u8], u64) -> Result<()>,
) -> Result<()> {
    let open = |paths: &[PathBuf]| -> Result<Vec<_>> {
        paths.iter().map(|path| Input::open(path)).collect()
    };
    if paths.len() <= FAN_IN {
        return merge(open(paths)?, monitor, put);
    }
    let mut runs = Runs::default();
    for group in paths.chunks(FAN_IN) {
        let inputs = open(group)?;
        runs.push(write_run(|put| merge(inputs, monitor, put))?, monitor)?;
    }
    merge(runs.into_inputs()?, monitor, put)
}
