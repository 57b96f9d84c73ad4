//! Files -> one token file: pieces are encoded on all threads and written in the order of the text.

use std::path::{Path, PathBuf};

use super::documents::{DocumentWriter, Files, Point};
use super::indexed_file::IndexedFile;
use super::ordered::{Block, End, Ordered, Writer};
use super::token_file::{Format, TokenFileWriter};
use super::{AllowedSpecial, Encoder, TokenId, Worker, room_for};
use crate::atomic::PartFile;
use crate::chunk::{DEFAULT_PIECE_SIZE, Pieces};
use crate::piece::Piece;
use crate::source::{self, DEFAULT_COLUMN};
use crate::{Error, Monitor, Result, threads};

/// Slots of a worker's cache: 4 MiB with ids of two bytes.
const SLOTS: usize = 1 << 17;

/// Bytes of text that all threads together read at a time: what waits to be written is as much again, and
/// many threads are not to hold many times what few do.
const TOGETHER: usize = 8 << 20;

/// Bytes that a thread reads at a time at least.
const SMALLEST_PIECE: usize = 64 << 10;

/// What ends a document of plain text unless something else is said, if it is a special token.
const DOCUMENT_END: &[u8] = b"<|endoftext|>";

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

impl Dtype {
    /// Its name, as numpy has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
        }
    }
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
    /// What the inputs are, where their names do not say it.
    pub format: Option<source::Format>,
    /// A special token whose id is put behind every document: a record of JSON lines or Parquet, any
    /// other input as a whole.
    pub separator: Option<Vec<u8>>,
    /// Write an index of documents beside a token file.
    pub documents: bool,
    /// A special token that ends documents within plain text, for the index; `None` is the separator, or
    /// else `<|endoftext|>` if that is a special token.
    pub document_end: Option<Vec<u8>>,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            dtype: Dtype::Auto,
            num_threads: None,
            piece_size: DEFAULT_PIECE_SIZE,
            column: DEFAULT_COLUMN.into(),
            format: None,
            separator: None,
            documents: false,
            document_end: None,
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
    /// Documents, if there is an index of them.
    pub documents: Option<u64>,
}

/// What all workers need to know.
pub(super) struct Work<'a> {
    pub pieces: Pieces,
    /// The id behind every document.
    separator: Option<u32>,
    /// Whether the ends of documents are asked for, and the id that is one in plain text.
    ends: bool,
    end_id: Option<u32>,
    monitor: &'a Monitor,
}

impl Encoder {
    /// Encodes inputs, in order, into one token file that appears when it is complete.
    /// [`source`](crate::source) says what inputs can be.
    ///
    /// With [`EncodeOptions::documents`] an index appears beside it, `tokens.documents.npy` beside
    /// `tokens.npy`: the places where documents begin, and where the last one ends.
    ///
    /// # Errors
    /// An ending other than `.npy` and `.bin`; two bytes asked of a vocabulary above 65,536; a
    /// separator or end of documents that is no special token; a file that cannot be read or written;
    /// the monitor was cancelled.
    pub fn encode_files(
        &self,
        inputs: &[PathBuf],
        output: &Path,
        options: &EncodeOptions,
        monitor: &Monitor,
    ) -> Result<EncodeStats> {
        let format = Format::of(output)?;
        if self.is_stored_wide(options.dtype)? {
            self.encode_files_as::<u32>(inputs, output, format, options, monitor)
        } else {
            self.encode_files_as::<u16>(inputs, output, format, options, monitor)
        }
    }

    /// Whether ids are to be stored in four bytes.
    pub(super) fn is_stored_wide(&self, dtype: Dtype) -> Result<bool> {
        match dtype {
            Dtype::U16 if self.is_wide() => Err(Error::invalid(format!(
                "uint16 holds ids below 65,536, but the vocabulary has {}; use uint32",
                self.vocabulary().len()
            ))),
            Dtype::U16 => Ok(false),
            Dtype::U32 => Ok(true),
            Dtype::Auto => Ok(self.is_wide()),
        }
    }

    fn encode_files_as<T: TokenId>(
        &self,
        inputs: &[PathBuf],
        output: &Path,
        format: Format,
        options: &EncodeOptions,
        monitor: &Monitor,
    ) -> Result<EncodeStats> {
        let threads = threads::resolve(options.num_threads)?;
        let work = self.work(inputs, options, threads, options.documents, monitor)?;
        let dtype = T::DTYPE;
        if options.documents {
            let file = OneFile { path: output, width: size_of::<T>(), totals: (0, 0) };
            let writer = DocumentWriter::new(file, u64::MAX, Point::default());
            let (writer, bytes) = self.encode_all::<T, _>(&work, threads, writer)?;
            let OneFile { totals: (tokens, documents), .. } = writer.finish()?.0;
            return Ok(EncodeStats { tokens, bytes, dtype, documents: Some(documents) });
        }
        let part = PartFile::create(output)?;
        let writer = TokenFileWriter::new(&part, format, size_of::<T>())?;
        let (writer, bytes) = self.encode_all::<T, _>(&work, threads, writer)?;
        let tokens = writer.finish()?;
        part.commit()?;
        Ok(EncodeStats { tokens, bytes, dtype, documents: None })
    }

    /// Looks at the inputs and the options.
    pub(super) fn work<'a>(
        &self,
        inputs: &[PathBuf],
        options: &EncodeOptions,
        threads: usize,
        ends: bool,
        monitor: &'a Monitor,
    ) -> Result<Work<'a>> {
        let separator = options.separator.as_deref().map(|token| self.special_id(token));
        let end_id = self.document_end(options).map(|token| self.special_id(token));
        let (separator, end_id) = (separator.transpose()?, end_id.transpose()?);
        let (column, format) = (&options.column, options.format);
        let size = options.piece_size.min((TOGETHER / threads).max(SMALLEST_PIECE));
        let (pretokenizer, special, stop) = (self.pretokenizer(), &self.special, monitor.stop());
        let pieces = Pieces::open(inputs, column, format, pretokenizer, special, size, stop)?;
        monitor.start(pieces.total_bytes().unwrap_or(0));
        Ok(Work { pieces, separator, ends, end_id, monitor })
    }

    /// The special token that ends a document within plain text.
    pub(super) fn document_end<'o>(&self, options: &'o EncodeOptions) -> Option<&'o [u8]> {
        let said = options.document_end.as_deref().or(options.separator.as_deref());
        said.or_else(|| self.special_id(DOCUMENT_END).is_ok().then_some(DOCUMENT_END))
    }

    /// Encodes all pieces, for a writer; returns that, and the bytes of their text.
    pub(super) fn encode_all<T: TokenId, W: Writer<T>>(
        &self,
        work: &Work<'_>,
        threads: usize,
        writer: W,
    ) -> Result<(W, u64)> {
        let blocks = Ordered::new(writer, threads);
        let bytes = threads::run(threads, |failed| self.encode_pieces(work, &blocks, failed))?;
        Ok((blocks.into_writer(), bytes.iter().sum()))
    }

    /// One worker: piece after piece, until there are no more. Returns the bytes it has read.
    fn encode_pieces<T: TokenId, W: Writer<T>>(
        &self,
        work: &Work<'_>,
        blocks: &Ordered<T, W>,
        failed: &dyn Fn() -> bool,
    ) -> Result<u64> {
        let mut worker = Worker::<T, SLOTS>::new();
        let mut piece = Piece::default();
        let mut bytes = 0;
        while !failed()
            && let Some(index) = work.pieces.next(&mut piece)?
        {
            let mut block = blocks.spare();
            self.encode_piece(work, &mut worker, &piece, &mut block)?;
            let stop = || failed() || work.monitor.check().is_err();
            blocks.put(index, block, &stop)?;
            bytes += piece.bytes().len() as u64;
            work.monitor.advance(piece.progress());
        }
        work.monitor.check()?;
        Ok(bytes)
    }

    fn encode_piece<T: TokenId>(
        &self,
        work: &Work<'_>,
        worker: &mut Worker<T, SLOTS>,
        piece: &Piece,
        block: &mut Block<T>,
    ) -> Result<()> {
        // Room that was used before is not cleared again; of new room, what ids never reach, which is
        // most of it, takes no memory.
        if block.room.len() < room_for::<T>(piece.size()) {
            block.room = vec![T::from_id(0); room_for::<T>(piece.size())];
        }
        block.len = 0;
        block.ends.clear();
        (block.place, block.bytes) = (piece.place(), piece.bytes().len() as u64);
        let end_id = work.end_id.filter(|_| work.ends && !piece.of_records).map(T::from_id);
        for part in piece.parts() {
            let begin = block.len;
            let room = &mut block.room[begin..];
            let allowed = &AllowedSpecial::All;
            block.len += self.encode_with(worker, part.text, allowed, work.monitor, room)?;
            if let Some(end_id) = end_id {
                let ids = block.room[begin..block.len].iter().enumerate();
                let found = ids.filter(|&(_, &id)| id == end_id);
                block.ends.extend(found.map(|(at, _)| End::new(begin + at + 1, true)));
            }
            if let Some(separator) = work.separator.filter(|_| part.ends) {
                block.room[block.len] = T::from_id(separator);
                block.len += 1;
            }
            if work.ends && part.ends {
                block.ends.push(End::new(block.len, false));
            }
        }
        Ok(())
    }
}

/// One file for everything.
struct OneFile<'o> {
    path: &'o Path,
    width: usize,
    totals: (u64, u64),
}

impl Files for OneFile<'_> {
    fn create(&mut self) -> Result<IndexedFile> {
        IndexedFile::create(self.path, self.width)
    }

    fn finish(&mut self, file: IndexedFile, _continues: bool, _next: Point) -> Result<()> {
        self.totals = (file.tokens, file.documents);
        file.commit().map(drop)
    }
}
