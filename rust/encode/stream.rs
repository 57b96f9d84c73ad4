//! Files -> one token file: pieces are encoded on all threads and written in the order of the text.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{AllowedSpecial, Encoder, TokenId, Worker, room_for};
use crate::atomic::{begin_writing_out, write_all_at, write_atomic};
use crate::chunk::{DEFAULT_PIECE_SIZE, Pieces};
use crate::piece::Piece;
use crate::source::DEFAULT_COLUMN;
use crate::{Error, Monitor, Result, threads};

/// Slots of a worker's cache: 4 MiB with ids of two bytes.
const SLOTS: usize = 1 << 17;

/// Encoded pieces that may wait for an earlier one, per thread.
const AHEAD: usize = 2;

/// How ids are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dtype {
    /// Two bytes where the vocabulary fits, else four.
    #[default]
    Auto,
    /// Two bytes.
    U16,
    /// Four bytes.
    U32,
}

/// How inputs are encoded; threads and pieces do not change the ids.
#[derive(Clone, Debug)]
pub struct EncodeOptions {
    /// How ids are stored.
    pub dtype: Dtype,
    /// Worker threads; `None` takes every processor that the process may use.
    pub num_threads: Option<usize>,
    /// Bytes read at a time.
    pub piece_size: usize,
    /// The key or column of JSON lines and Parquet that holds the text.
    pub column: String,
    /// A special token whose id is put behind every document: a record of JSON lines or Parquet, any
    /// other input as a whole.
    pub separator: Option<Vec<u8>>,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            dtype: Dtype::Auto,
            num_threads: None,
            piece_size: DEFAULT_PIECE_SIZE,
            column: DEFAULT_COLUMN.into(),
            separator: None,
        }
    }
}

/// What encoding came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeStats {
    /// Ids written.
    pub tokens: u64,
    /// Bytes of text read.
    pub bytes: u64,
    /// How the ids are stored: `U16` or `U32`.
    pub dtype: Dtype,
}

/// The file formats, by the name's ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// numpy's, one-dimensional.
    Npy,
    /// Ids and nothing else.
    Raw,
}

impl Encoder {
    /// Encodes inputs, in order, into one token file that appears when it is complete.
    /// [`source`](crate::source) says what inputs can be.
    ///
    /// # Errors
    /// An ending other than `.npy` and `.bin`; two bytes asked of a vocabulary above 65,536; a
    /// separator that is no special token; a file that cannot be read or written; the monitor was
    /// cancelled.
    pub fn encode_files(
        &self,
        inputs: &[PathBuf],
        output: &Path,
        options: &EncodeOptions,
        monitor: &Monitor,
    ) -> Result<EncodeStats> {
        let format = Format::of(output)?;
        let size = self.vocabulary().len() as u64;
        match options.dtype {
            Dtype::U16 if size > u16::LIMIT => Err(Error::invalid(format!(
                "uint16 holds ids below 65,536, but the vocabulary has {size}; use uint32"
            ))),
            Dtype::U16 => self.encode_as::<u16>(inputs, output, format, options, monitor),
            Dtype::Auto if size <= u16::LIMIT => {
                self.encode_as::<u16>(inputs, output, format, options, monitor)
            }
            Dtype::Auto | Dtype::U32 => {
                self.encode_as::<u32>(inputs, output, format, options, monitor)
            }
        }
    }

    fn encode_as<T: TokenId>(
        &self,
        inputs: &[PathBuf],
        output: &Path,
        format: Format,
        options: &EncodeOptions,
        monitor: &Monitor,
    ) -> Result<EncodeStats> {
        let threads = threads::resolve(options.num_threads)?;
        let separator = options.separator.as_deref().map(|token| self.special_id(token));
        let separator = separator.transpose()?;
        let (column, size) = (&options.column, options.piece_size);
        let (pretokenizer, special) = (self.pretokenizer(), &self.special);
        let pieces = Pieces::open(inputs, column, pretokenizer, special, size, monitor.stop())?;
        monitor.start(pieces.total_bytes().unwrap_or(0));
        let width = size_of::<T>();
        let mut totals = (0, 0);
        let mut failure = None;
        let written = write_atomic(output, |file| {
            let begin = format.begin(file, width)?;
            let first = file.stream_position()?;
            let queue = OrderedWriter::new(file, first, threads * AHEAD);
            let bytes = threads::run(threads, |failed| {
                self.encode_pieces::<T>(&pieces, separator, &queue, output, monitor, failed)
            });
            match bytes {
                Ok(bytes) => totals = (queue.ids(), bytes.iter().sum()),
                // Any error makes `write_atomic` clean up; the one that counts is returned below.
                Err(error) => {
                    failure = Some(error);
                    return Err(io::ErrorKind::Other.into());
                }
            }
            format.end(file, begin, width, totals.0)
        });
        if let Some(error) = failure {
            return Err(error);
        }
        written?;
        let dtype = if width == 2 { Dtype::U16 } else { Dtype::U32 };
        Ok(EncodeStats { tokens: totals.0, bytes: totals.1, dtype })
    }

    /// One worker: piece after piece, until there are no more. Returns the bytes it has read.
    fn encode_pieces<T: TokenId>(
        &self,
        pieces: &Pieces,
        separator: Option<u32>,
        queue: &OrderedWriter<'_, T>,
        output: &Path,
        monitor: &Monitor,
        failed: &dyn Fn() -> bool,
    ) -> Result<u64> {
        let mut worker = Worker::<T, SLOTS>::new();
        let mut piece = Piece::default();
        let mut bytes = 0;
        while !failed()
            && let Some(index) = pieces.next(&mut piece)?
        {
            let mut block = queue.spare();
            // Room that was used before is not cleared again.
            if block.room.len() < room_for::<T>(piece.size()) {
                block.room.resize(room_for::<T>(piece.size()), T::from_id(0));
            }
            block.len = 0;
            for part in piece.parts() {
                let room = &mut block.room[block.len..];
                let allowed = &AllowedSpecial::All;
                block.len += self.encode_with(&mut worker, part.text, allowed, monitor, room)?;
                if let Some(separator) = separator.filter(|_| part.ends) {
                    block.room[block.len] = T::from_id(separator);
                    block.len += 1;
                }
            }
            let stop = || failed() || monitor.check().is_err();
            queue.put(index, block, &stop).map_err(|e| Error::io(output, "cannot write", &e))?;
            bytes += piece.bytes().len() as u64;
            monitor.advance(piece.progress());
        }
        monitor.check()?;
        Ok(bytes)
    }
}

/// The ids of a piece: the first of some room.
#[derive(Debug, Default)]
struct Block<T> {
    room: Vec<T>,
    len: usize,
}

/// Takes blocks in any order and writes them in theirs, with only so many waiting.
struct OrderedWriter<'f, T> {
    file: &'f File,
    /// Where in the file the first id goes.
    begin: u64,
    state: Mutex<WriterState<T>>,
    moved: Condvar,
    ahead: usize,
}

struct WriterState<T> {
    /// The block that comes next.
    next: usize,
    waiting: BTreeMap<usize, Block<T>>,
    spare: Vec<Block<T>>,
    /// How many ids stand before it.
    ids: u64,
}

impl<'f, T: TokenId> OrderedWriter<'f, T> {
    fn new(file: &'f File, begin: u64, ahead: usize) -> Self {
        let (waiting, spare) = (BTreeMap::new(), Vec::new());
        let state = Mutex::new(WriterState { next: 0, waiting, spare, ids: 0 });
        Self { file, begin, state, moved: Condvar::new(), ahead }
    }

    fn lock(&self) -> MutexGuard<'_, WriterState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block, used before if there is one.
    fn spare(&self) -> Block<T> {
        self.lock().spare.pop().unwrap_or_else(|| Block { room: Vec::new(), len: 0 })
    }

    /// Hands over block `index`; waits while it is too far ahead, unless `stop` says to give up.
    fn put(&self, index: usize, block: Block<T>, stop: &dyn Fn() -> bool) -> io::Result<()> {
        let mut state = self.lock();
        while index >= state.next + self.ahead && !stop() {
            let patience = Duration::from_millis(50);
            let woken = self.moved.wait_timeout(state, patience);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting.insert(index, block);
        if index != state.next {
            return Ok(());
        }
        // All that is in order now has its place in the file; writing there is nobody else's concern.
        let mut ready = Vec::new();
        let first = state.ids;
        while let Some(block) = {
            let next = state.next;
            state.waiting.remove(&next)
        } {
            state.ids += block.len as u64;
            state.next += 1;
            ready.push(block);
        }
        drop(state);
        self.moved.notify_all();
        let place = |ids: u64| self.begin + ids * size_of::<T>() as u64;
        let mut ids = first;
        for block in &ready {
            write_ids(self.file, place(ids), &block.room[..block.len])?;
            ids += block.len as u64;
        }
        begin_writing_out(self.file, place(first), place(ids) - place(first));
        self.lock().spare.extend(ready);
        Ok(())
    }

    /// How many ids were written.
    fn ids(&self) -> u64 {
        self.lock().ids
    }
}

/// Writes ids to a place in the file, as they lie in memory: little-endian as in the file on every
/// processor that the wheels are built for; elsewhere their bytes are swapped.
fn write_ids<T: TokenId>(file: &File, place: u64, ids: &[T]) -> io::Result<()> {
    if cfg!(target_endian = "little") {
        return write_all_at(file, place, bytemuck::cast_slice(ids));
    }
    let mut bytes = bytemuck::cast_slice(ids).to_vec();
    bytes.chunks_exact_mut(size_of::<T>()).for_each(<[u8]>::reverse);
    write_all_at(file, place, &bytes)
}

impl Format {
    fn of(output: &Path) -> Result<Self> {
        match output.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Ok(Self::Npy),
            Some("bin") => Ok(Self::Raw),
            _ => Err(Error::invalid(format!(
                "{}: a token file's name ends in .npy (numpy) or .bin (raw ids)",
                output.display()
            ))),
        }
    }

    /// Leaves room for the header; returns where it goes.
    fn begin(self, mut file: &File, width: usize) -> io::Result<u64> {
        let begin = file.stream_position()?;
        if self == Self::Npy {
            file.write_all(&npy_header(width, 0))?;
        }
        Ok(begin)
    }

    /// Writes the header, now that the number of ids is known.
    fn end(self, mut file: &File, begin: u64, width: usize, ids: u64) -> io::Result<()> {
        if self == Self::Npy {
            file.seek(SeekFrom::Start(begin))?;
            file.write_all(&npy_header(width, ids))?;
        }
        Ok(())
    }
}

/// The header of a one-dimensional `.npy` file, format version 1.0: always 128 bytes.
fn npy_header(width: usize, ids: u64) -> [u8; 128] {
    let text = format!("{{'descr': '<u{width}', 'fortran_order': False, 'shape': ({ids},), }}");
    let mut header = [b' '; 128];
    header[..8].copy_from_slice(b"\x93NUMPY\x01\x00");
    header[8..10].copy_from_slice(&118u16.to_le_bytes());
    header[10..10 + text.len()].copy_from_slice(text.as_bytes());
    header[127] = b'\n';
    header
}
