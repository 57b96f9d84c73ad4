//! Parquet: a row is a document, its text is in one column of strings or bytes. Other columns are not
//! read. Row groups are read one after the other, page by page.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parquet::basic::{ConvertedType, Type};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::pages::Pages;
use super::quiet;
use super::stream::Records;
use crate::{Error, Result};

/// Bytes of text for which rows are taken out of pages at a time.
const BATCH_BYTES: usize = 1 << 20;

/// Rows that are taken out at a time, whatever their size was so far.
const MOST_ROWS: usize = 1024;

/// The rows of a file.
pub(super) struct Parquet {
    file: Arc<Metered>,
    metadata: ParquetMetaData,
    place: Place,
    column: usize,
    /// The row group at hand.
    group: Option<Group>,
    next_group: usize,
    /// Rows that were taken out, and how many of them were handed on.
    rows: Vec<ByteArray>,
    taken: usize,
    /// Rows before those.
    passed: u64,
}

/// Where the reading is.
struct Place {
    path: Arc<Path>,
    /// The byte of the file.
    position: Arc<AtomicU64>,
}

struct Group {
    column: ColumnReaderImpl<ByteArrayType>,
    /// A row whose level is below this one has no text.
    max_level: i16,
    /// Rows still to come.
    remaining: u64,
}

impl Parquet {
    pub fn open(path: &Path, column: &str) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, "cannot read", &e))?;
        let place = Place { path: path.into(), position: Arc::default() };
        let file = Arc::new(Metered { file, position: Arc::clone(&place.position) });
        let metadata = place.guard(|| ParquetMetaDataReader::new().parse_and_finish(&*file))?;
        let column = find(metadata.file_metadata().schema_descr(), column)
            .map_err(|reason| Error::invalid(format!("{}: {reason}", path.display())))?;
        // Reading the end of the file is no progress.
        place.position.store(0, Relaxed);
        Ok(Self {
            file,
            metadata,
            place,
            column,
            group: None,
            next_group: 0,
            rows: Vec::new(),
            taken: 0,
            passed: 0,
        })
    }

    /// Takes rows out of their pages; `false` if there are no more.
    fn take_out(&mut self) -> Result<bool> {
        // As many as would have been `BATCH_BYTES` before: each may keep a page of its own in memory.
        let size = self.rows.iter().map(ByteArray::len).sum::<usize>().max(1);
        let batch = (self.rows.len() * BATCH_BYTES / size).clamp(1, MOST_ROWS);
        self.passed += self.rows.len() as u64;
        self.taken = 0;
        self.rows.clear();
        while self.rows.is_empty() {
            let group = match &mut self.group {
                Some(group) => group,
                None if self.next_group == self.metadata.num_row_groups() => {
                    self.place.position.store(Length::len(&*self.file), Relaxed);
                    return Ok(false);
                }
                None => {
                    self.next_group += 1;
                    let index = self.next_group - 1;
                    let opened = self
                        .place
                        .guard(|| Group::open(&self.file, &self.metadata, index, self.column))?;
                    self.group.insert(opened)
                }
            };
            if group.remaining == 0 {
                self.group = None;
                continue;
            }
            let mut levels = Vec::new();
            let read = self.place.guard(|| {
                group.column.read_records(batch, Some(&mut levels), None, &mut self.rows)
            })?;
            if let Some(null) = levels.iter().position(|&level| level < group.max_level) {
                return Err(Error::invalid(format!(
                    "{}, row {}: null; the column must have a text in every row",
                    self.place.path.display(),
                    self.passed + null as u64 + 1
                )));
            }
            if read.0 == 0 {
                let missing = format!("{} rows are missing", group.remaining);
                return Err(self.place.explain(&ParquetError::EOF(missing)));
            }
            group.remaining = group.remaining.saturating_sub(read.0 as u64);
        }
        Ok(true)
    }
}

impl Records for Parquet {
    fn next(&mut self, text: &mut Vec<u8>) -> Result<bool> {
        if self.taken == self.rows.len() && !self.take_out()? {
            return Ok(false);
        }
        text.extend_from_slice(self.rows[self.taken].data());
        self.taken += 1;
        Ok(true)
    }

    fn position(&self) -> u64 {
        self.place.position.load(Relaxed)
    }
}

impl Group {
    fn open(
        file: &Arc<Metered>,
        metadata: &ParquetMetaData,
        index: usize,
        column: usize,
    ) -> ParquetResult<Self> {
        let group = metadata.row_group(index);
        let rows = group.num_rows();
        let rows = u64::try_from(rows)
            .map_err(|_| ParquetError::General(format!("row group {index} has {rows} rows")))?;
        let chunk = group.column(column);
        let descriptor = chunk.column_descr_ptr();
        Ok(Self {
            max_level: descriptor.max_def_level(),
            column: ColumnReaderImpl::new(descriptor, Box::new(Pages::new(file, chunk, rows)?)),
            remaining: rows,
        })
    }
}

impl Place {
    /// Runs code of the parquet crate, which on some damaged files panics.
    fn guard<T>(&self, work: impl FnOnce() -> ParquetResult<T>) -> Result<T> {
        quiet::catch(work)
            .unwrap_or_else(|| Err(ParquetError::General("it cannot be decoded".into())))
            .map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &ParquetError) -> Error {
        let reason = match error {
            ParquetError::External(source) => {
                let source = source.downcast_ref::<std::io::Error>();
                if let Some(error) = source.filter(|error| error.raw_os_error().is_some()) {
                    return Error::io(&self.path, "cannot read", error);
                }
                error.to_string()
            }
            ParquetError::General(reason) | ParquetError::EOF(reason) => reason.clone(),
            other => other.to_string(),
        };
        let (path, position) = (self.path.display(), self.position.load(Relaxed));
        Error::invalid(format!("{path}: damaged or no Parquet, near byte {position}: {reason}"))
    }
}

/// The place of a column of texts among the leaves of the schema, or what is wrong with it.
fn find(schema: &SchemaDescriptor, name: &str) -> Result<usize, String> {
    let is_text = |column: &ColumnDescriptor| {
        column.physical_type() == Type::BYTE_ARRAY
            && column.converted_type() != ConvertedType::DECIMAL
            && column.max_rep_level() == 0
    };
    let columns = schema.columns();
    let index = columns.iter().position(|column| column.path().string() == name);
    match index {
        Some(index) if is_text(&columns[index]) => Ok(index),
        Some(index) => Err(format!(
            "column {name:?} holds {}, not strings or bytes",
            columns[index].physical_type()
        )),
        None => {
            let texts = columns.iter().filter(|column| is_text(column));
            Err(format!(
                "there is no column {name:?}; the columns of strings or bytes are {:?}",
                texts.map(|column| column.path().string()).collect::<Vec<_>>()
            ))
        }
    }
}

/// A file that notes how far it has been read.
struct Metered {
    file: File,
    position: Arc<AtomicU64>,
}

impl Length for Metered {
    fn len(&self) -> u64 {
        Length::len(&self.file)
    }
}

impl ChunkReader for Metered {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        self.position.fetch_max(start, Relaxed);
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<bytes::Bytes> {
        let bytes = self.file.get_bytes(start, length)?;
        self.position.fetch_max(start + length as u64, Relaxed);
        Ok(bytes)
    }
}
