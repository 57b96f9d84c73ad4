//! Inputs -> a folder of shards: token files of limited size, each with an index of documents. An
//! interrupted run goes on behind its last finished shard.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::documents::{DocumentWriter, Files, Point};
use super::indexed_file::{IndexedFile, index_path};
use super::manifest::{self, Job, MANIFEST, PROGRESS, Shard, shard_path};
use super::token_file::HEADER;
use super::{Dtype, EncodeOptions, Encoder, TokenId};
use crate::atomic::PartFile;
use crate::{Error, Monitor, Result, threads};

/// How shards are made, beside [`EncodeOptions`].
#[derive(Clone, Debug)]
pub struct ShardOptions {
    /// Ids in a shard at most. A document is cut only if it alone has more.
    pub tokens: u64,
    /// What tells this tokenizer from others: the shards of another one are not gone on with.
    pub tokenizer: String,
    /// Remove what shards the folder holds, finished or not, and start anew.
    pub overwrite: bool,
}

/// What encoding into shards came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardStats {
    /// Ids in all shards.
    pub tokens: u64,
    /// Bytes of text they stand for.
    pub bytes: u64,
    /// How the ids are stored: `U16` or `U32`.
    pub dtype: Dtype,
    /// Documents.
    pub documents: u64,
    /// Shards.
    pub shards: u64,
    /// How many of them an interrupted run had finished before.
    pub kept: u64,
}

impl Encoder {
    /// Encodes inputs, in order, into a folder: `shard-00000.npy` and so on, beside each its index
    /// (`shard-00000.documents.npy`: where documents begin, and where the last one ends), and
    /// `manifest.json` when all of them are complete.
    ///
    /// In plain text a document ends behind [`EncodeOptions::document_end`] and with its input; a record
    /// of JSON lines or Parquet is a document. The shards' bytes depend neither on threads and pieces, nor
    /// on whether a run was interrupted: one with the same arguments and unchanged inputs goes on behind
    /// the last shard that was finished.
    ///
    /// # Errors
    /// Those of [`Encoder::encode_files`]; a folder that holds finished shards, those of other arguments
    /// or inputs, or something that another process is working at; an interrupted run that was within an
    /// input that is no file.
    pub fn encode_shards(
        &self,
        inputs: &[PathBuf],
        folder: &Path,
        shards: &ShardOptions,
        options: &EncodeOptions,
        monitor: &Monitor,
    ) -> Result<ShardStats> {
        if shards.tokens == 0 {
            return Err(Error::invalid("a shard of 0 tokens; it must have room for at least 1"));
        }
        if self.is_stored_wide(options.dtype)? {
            self.encode_shards_as::<u32>(inputs, folder, shards, options, monitor)
        } else {
            self.encode_shards_as::<u16>(inputs, folder, shards, options, monitor)
        }
    }

    fn encode_shards_as<T: TokenId>(
        &self,
        inputs: &[PathBuf],
        folder: &Path,
        shards: &ShardOptions,
        options: &EncodeOptions,
        monitor: &Monitor,
    ) -> Result<ShardStats> {
        let threads = threads::resolve(options.num_threads)?;
        let work = self.work(inputs, options, threads, true, monitor)?;
        let width = size_of::<T>();
        let job = Job {
            tokenizer: shards.tokenizer.clone(),
            dtype: T::DTYPE.name(),
            options: describe_options(shards, options, self.document_end(options)),
            inputs: inputs.iter().map(|path| manifest::describe_input(path)).collect(),
        };
        let (mut files, from) = ShardFiles::open(folder, job, width, shards.overwrite)?;
        let kept = files.shards.len() as u64;
        monitor.advance(work.pieces.begin_at(from.place));
        let writer = DocumentWriter::new(&mut files, shards.tokens, from);
        let (_, bytes) = self.encode_all::<T, _>(&work, threads, writer)?.0.finish()?;
        let (tokens, documents) = manifest::totals(&files.shards);
        let shards = files.shards.len() as u64;
        files.complete(bytes)?;
        Ok(ShardStats { tokens, bytes, dtype: T::DTYPE, documents, shards, kept })
    }
}

fn describe_options(
    shards: &ShardOptions,
    options: &EncodeOptions,
    document_end: Option<&[u8]>,
) -> serde_json::Value {
    let token = |token: &[u8]| String::from_utf8_lossy(token).into_owned();
    serde_json::json!({
        "shard_tokens": shards.tokens,
        "column": options.column,
        "format": options.format.map(|format| format.to_string()),
        "separator": options.separator.as_deref().map(token),
        "document_end": document_end.map(token),
    })
}

/// The files of a folder of shards.
struct ShardFiles {
    folder: PathBuf,
    job: Job,
    width: usize,
    /// Those that are finished.
    shards: Vec<Shard>,
    /// Shards that were begun.
    begun: usize,
    /// Locked as long as it is open.
    _lock: Option<File>,
}

impl ShardFiles {
    /// Prepares a folder, which may be missing; returns where its next shard begins.
    fn open(folder: &Path, job: Job, width: usize, overwrite: bool) -> Result<(Self, Point)> {
        let failed = |e: &std::io::Error| Error::io(folder, "cannot write into", e);
        if let Err(error) = std::fs::create_dir(folder)
            && !folder.is_dir()
        {
            return Err(failed(&error));
        }
        let lock = lock(folder)?;
        if overwrite {
            remove(folder, |name| is_ours(name) || PartFile::is_name_of_one(name))?;
        }
        if folder.join(MANIFEST).exists() {
            return Err(Error::invalid(format!(
                "{}: holds finished shards: name another folder, or say that this one is to be \
                 overwritten",
                folder.display()
            )));
        }
        // What a killed run left behind.
        remove(folder, PartFile::is_name_of_one)?;
        let (shards, from) = manifest::read_progress(folder, &job)?.unwrap_or_default();
        let files = Self {
            folder: folder.to_path_buf(),
            begun: shards.len(),
            job,
            width,
            shards,
            _lock: lock,
        };
        files.check(from)?;
        if files.shards.is_empty() {
            let of_others = |name: &str| name != PROGRESS && is_ours(name);
            if !folder.join(PROGRESS).exists() && !list(folder, of_others)?.is_empty() {
                return Err(Error::invalid(format!(
                    "{}: holds shards, but nothing says of what: name another folder, or say that \
                     this one is to be overwritten",
                    folder.display()
                )));
            }
            manifest::write_progress(folder, &files.job, &[], Point::default())?;
        }
        Ok((files, from))
    }

    /// Makes sure that an interrupted run can be gone on with.
    fn check(&self, from: Point) -> Result<()> {
        for (number, shard) in self.shards.iter().enumerate() {
            let path = shard_path(&self.folder, number);
            let wanted = (HEADER as u64 + shard.tokens * self.width as u64, &path);
            let index = index_path(&path);
            let wanted_index = (HEADER as u64 + (shard.documents + 1) * 8, &index);
            for (size, path) in [wanted, wanted_index] {
                let metadata = path.metadata().map_err(|e| Error::io(path, "cannot read", &e))?;
                if metadata.len() != size {
                    return Err(Error::invalid(format!(
                        "{}: has {} bytes, not {size} as when it was finished: say that the folder \
                         is to be overwritten",
                        path.display(),
                        metadata.len()
                    )));
                }
            }
        }
        match self.job.inputs.get(from.place.input) {
            Some(input) if input["bytes"].is_null() && !self.shards.is_empty() => {
                Err(Error::invalid(format!(
                    "{}: the run before was interrupted while it read {}, which cannot be read again: \
                     say that the folder is to be overwritten",
                    self.folder.display(),
                    input["path"]
                )))
            }
            _ => Ok(()),
        }
    }

    /// All shards are finished.
    fn complete(self, bytes: u64) -> Result<()> {
        manifest::write_manifest(&self.folder, &self.job, &self.shards, bytes)?;
        let progress = self.folder.join(PROGRESS);
        std::fs::remove_file(&progress).map_err(|e| Error::io(&progress, "cannot remove", &e))
    }
}

impl Files for &mut ShardFiles {
    fn create(&mut self) -> Result<IndexedFile> {
        self.begun += 1;
        IndexedFile::create(&shard_path(&self.folder, self.begun - 1), self.width)
    }

    fn finish(&mut self, file: IndexedFile, continues: bool, next: Point) -> Result<()> {
        let path = shard_path(&self.folder, self.shards.len());
        let (tokens, documents) = (file.tokens, file.documents);
        let crc32 = file.commit()?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.shards.push(Shard { file, tokens, documents, continues, crc32 });
        manifest::write_progress(&self.folder, &self.job, &self.shards, next)
    }
}

/// Keeps other processes out of a folder, where the system can.
fn lock(folder: &Path) -> Result<Option<File>> {
    let Ok(file) = File::open(folder) else { return Ok(None) };
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::invalid(format!(
            "{}: another process is encoding into it",
            folder.display()
        ))),
        Ok(()) | Err(std::fs::TryLockError::Error(_)) => Ok(Some(file)),
    }
}

/// Whether a file of this name belongs to a folder of shards.
fn is_ours(name: &str) -> bool {
    let shard = name.strip_prefix("shard-").and_then(|name| name.strip_suffix(".npy"));
    let number = shard.map(|shard| shard.strip_suffix(".documents").unwrap_or(shard));
    let is_shard = number
        .is_some_and(|number| number.len() >= 5 && number.bytes().all(|b| b.is_ascii_digit()));
    is_shard || name == MANIFEST || name == PROGRESS
}

/// The files in a folder with such names.
fn list(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io(folder, "cannot list", &e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_str().is_some_and(&wanted) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn remove(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<()> {
    for path in list(folder, wanted)? {
        std::fs::remove_file(&path).map_err(|e| Error::io(&path, "cannot remove", &e))?;
    }
    Ok(())
}
