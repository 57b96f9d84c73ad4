//! The pages of one column of a row group, each looked at before the parquet crate makes room for what
//! it claims: a file of a few hundred bytes can claim gigabytes. What no writer can have meant is
//! refused, and nothing else: where a bound is not a law of the format, it lies far beyond any writer's.
//!
//! What is left to trust: gzip and brotli are unpacked by the crate to their end, even beyond the size
//! that is claimed.

use std::io::Read;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;

use super::page_header::PageHeader;

/// Bytes of a page that need not agree with what the end of the file says of all pages. Some writers
/// leave the headers of pages out of that sum; pages are of 1 MB by default.
const LARGE_PAGE: u64 = 64 << 20;

/// Lengths of texts in a page, which the crate keeps together in memory (four bytes each, or eight).
/// Writers end a page at 20,000 rows; those that look only at its bytes, at 1 MB by default, get at most
/// 27 million into it: 128 empty texts take five bytes.
const MOST_LENGTHS: u64 = 1 << 26;

pub(super) struct Pages<R: ChunkReader> {
    pages: SerializedPageReader<R>,
    file: Arc<R>,
    /// Bytes of the file before the next page, and before the end of the column.
    offset: u64,
    end: u64,
    codec: Compression,
    /// Bytes of all pages unpacked, as the end of the file has it.
    uncompressed: u64,
    /// Rows that the row group has left; the column is not repeated, so they are its values.
    rows: u64,
    max_level: i16,
}

impl<R: ChunkReader> Pages<R> {
    pub fn new(file: &Arc<R>, column: &ColumnChunkMetaData, rows: u64) -> ParquetResult<Self> {
        let total_rows = usize::try_from(rows)?;
        let (offset, size) = column.byte_range();
        Ok(Self {
            pages: SerializedPageReader::new(Arc::clone(file), column, total_rows, None)?,
            file: Arc::clone(file),
            offset,
            end: offset.saturating_add(size),
            codec: column.compression(),
            uncompressed: u64::try_from(column.uncompressed_size()).unwrap_or(0),
            rows,
            max_level: column.column_descr().max_def_level(),
        })
    }

    /// Looks at the headers up to the next page that the crate will unpack.
    fn check_headers(&mut self) -> ParquetResult<()> {
        while self.offset < self.end {
            let input = self.file.get_read(self.offset)?.take(self.end - self.offset);
            let header = PageHeader::read(input)?;
            self.check_header(header)?;
            self.offset += header.size + header.compressed;
            if !header.is_index {
                break;
            }
        }
        Ok(())
    }

    fn check_header(&self, header: PageHeader) -> ParquetResult<()> {
        let PageHeader { compressed, uncompressed, .. } = header;
        let left = self.file.len().saturating_sub(self.offset + header.size);
        if compressed > left {
            return Err(ParquetError::General(format!(
                "a page claims {compressed} bytes, but the file has {left} left"
            )));
        }
        let Some(ratio) = most_unpacked(self.codec) else { return Ok(()) };
        if uncompressed > compressed.saturating_mul(ratio) {
            return Err(ParquetError::General(format!(
                "a page of {compressed} bytes claims {uncompressed} unpacked, more than {} can pack",
                self.codec
            )));
        }
        if uncompressed > LARGE_PAGE.max(self.uncompressed) {
            return Err(ParquetError::General(format!(
                "a page claims {uncompressed} bytes unpacked, but all pages of the column claim {}",
                self.uncompressed
            )));
        }
        Ok(())
    }

    fn check_page(&mut self, page: &Page) -> ParquetResult<()> {
        if let Page::DictionaryPage { buf, num_values, .. } = page {
            // Before each value stand four bytes with its length.
            let most = buf.len() / 4;
            if *num_values as usize > most {
                return Err(ParquetError::General(format!(
                    "a dictionary claims {num_values} values, but has room for at most {most}"
                )));
            }
            return Ok(());
        }
        let rows = u64::from(page.num_values());
        self.rows = self.rows.checked_sub(rows).ok_or_else(|| {
            let left = self.rows;
            ParquetError::General(format!(
                "a page claims {rows} rows, but its row group has {left} left"
            ))
        })?;
        let streams = match page.encoding() {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
            // Those of what the texts share with the one before, and of the rest.
            Encoding::DELTA_BYTE_ARRAY => 2,
            _ => return Ok(()),
        };
        let mut values = self.values(page);
        for _ in 0..streams {
            values = after_lengths(values, rows.min(MOST_LENGTHS))?;
        }
        Ok(())
    }

    /// The bytes of a page behind the levels that say which rows are null; none if it is too short,
    /// which the crate finds as well.
    fn values<'a>(&self, page: &'a Page) -> &'a [u8] {
        let (bytes, levels) = match page {
            Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
                (buf, *def_levels_byte_len as usize + *rep_levels_byte_len as usize)
            }
            Page::DataPage { buf, .. } if self.max_level == 0 => (buf, 0),
            Page::DataPage { buf, def_level_encoding: Encoding::RLE, .. } => {
                let size = buf.first_chunk().map_or(0, |size| u32::from_le_bytes(*size));
                (buf, (size as usize).saturating_add(4))
            }
            // Bits, from before there were runs.
            Page::DataPage { buf, num_values, .. } => {
                let bits = u16::BITS - self.max_level.unsigned_abs().leading_zeros();
                (buf, (*num_values as usize * bits as usize).div_ceil(8))
            }
            Page::DictionaryPage { buf, .. } => (buf, 0),
        };
        bytes.get(levels..).unwrap_or_default()
    }
}

impl<R: ChunkReader> Iterator for Pages<R> {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl<R: ChunkReader> PageReader for Pages<R> {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        self.check_headers()?;
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            self.check_page(page)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.get_next_page().map(drop)
    }
}

/// The most bytes that a codec's format makes of one; `None` if pages are taken as they are.
fn most_unpacked(codec: Compression) -> Option<u64> {
    match codec {
        Compression::UNCOMPRESSED => None,
        // A copy of 64 bytes takes three.
        Compression::SNAPPY => Some(22),
        // A byte adds as much to a length.
        Compression::LZ4 | Compression::LZ4_RAW => Some(255),
        // A copy of 258 bytes takes two bits.
        Compression::GZIP(_) => Some(1032),
        // A block of 128 KB takes four bytes.
        Compression::ZSTD(_) => Some(1 << 15),
        // A meta-block of 16 MB takes nine bytes; LZO, which the crate does not know.
        _ => Some(1 << 21),
    }
}

/// What is behind lengths in DELTA_BINARY_PACKED, of which there may be `most`.
///
/// The crate makes room for as many as their head claims, before it looks for them. They need not take
/// a byte: a block of any size says in two that all its lengths are equal.
fn after_lengths(bytes: &[u8], most: u64) -> ParquetResult<&[u8]> {
    let cut = || ParquetError::General("the lengths of a page's texts are cut off".into());
    let mut rest = bytes;
    let varint = |rest: &mut &[u8]| {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, behind) = rest.split_first().ok_or_else(cut)?;
            *rest = behind;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(cut())
    };
    let (block, parts) = (varint(&mut rest)?, varint(&mut rest)?);
    let lengths = varint(&mut rest)?;
    let _first = varint(&mut rest)?;
    if lengths > most {
        return Err(ParquetError::General(format!(
            "a page claims the lengths of {lengths} texts, but can have at most {most}"
        )));
    }
    let part = block.checked_div(parts).unwrap_or(0);
    if part == 0 || part % 32 != 0 {
        return Err(ParquetError::General(format!(
            "the lengths of a page's texts stand in blocks of {block} in {parts} parts"
        )));
    }
    let mut left = lengths.saturating_sub(1);
    while left > 0 {
        let _least = varint(&mut rest)?;
        let widths = usize::try_from(parts).ok().and_then(|parts| rest.split_at_checked(parts));
        let (widths, mut behind) = widths.ok_or_else(cut)?;
        for &width in widths {
            // Those behind the last length have no bytes, whatever their width.
            if left > 0 {
                let size = usize::try_from((part / 8).saturating_mul(width.into()));
                behind = size.ok().and_then(|size| behind.get(size..)).ok_or_else(cut)?;
            }
            left = left.saturating_sub(part);
        }
        rest = behind;
    }
    Ok(rest)
}
