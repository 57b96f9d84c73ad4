//! Counts that wait on the disk, in files without names.

use std::fs::File;
use std::io::{self, Seek};

use super::merge::{Input, merge};
use super::writer::Writer;
use super::{FAN_IN, Header};
use crate::{Error, Monitor, Result};

/// Sorted files, few at any time: as many as are read at once become one, and as many of those one
/// again, so that each count is copied as often as there are levels.
#[derive(Debug, Default)]
pub struct Runs {
    levels: Vec<Vec<File>>,
}

impl Runs {
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// Adds a run.
    pub fn push(&mut self, mut run: File, monitor: &Monitor) -> Result<()> {
        for level in &mut self.levels {
            level.push(run);
            if level.len() < FAN_IN {
                return Ok(());
            }
            let inputs = open_runs(std::mem::take(level))?;
            run = write_run(|put| merge(inputs, monitor, put))?;
        }
        self.levels.push(vec![run]);
        Ok(())
    }

    /// All runs, to be read.
    pub fn into_inputs(self) -> Result<Vec<Input<File>>> {
        open_runs(self.levels.into_iter().flatten().collect())
    }
}

/// Runs, to be read.
pub fn open_runs(runs: Vec<File>) -> Result<Vec<Input<File>>> {
    let name = std::env::temp_dir().join("a file of byteloom");
    runs.into_iter().map(|run| Input::new(run, &name)).collect()
}

/// Writes a run: `fill` is given what takes its entries. It has no name, so that nothing of it is left
/// however the process ends, and lies in the folder for temporary files (`TMPDIR`).
pub fn write_run(
    fill: impl FnOnce(&mut dyn FnMut(&[u8], u64) -> Result<()>) -> Result<()>,
) -> Result<File> {
    let refused = |error: io::Error| {
        let doing = "memory is short, and counts cannot be put aside in";
        Error::io(&std::env::temp_dir(), doing, &error)
    };
    let file = tempfile::tempfile().map_err(refused)?;
    let mut writer = Writer::new(file, &Header::default()).map_err(refused)?;
    fill(&mut |pretoken, count| writer.add(pretoken, count).map_err(refused))?;
    let mut file = writer.finish().map_err(refused)?;
    file.rewind().map_err(refused)?;
    Ok(file)
}
