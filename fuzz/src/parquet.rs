//! Parquet files of every kind that has a column of texts.

use std::sync::Arc;

use arbitrary::{Arbitrary, Result, Unstructured};
use parquet::basic::{Compression, ConvertedType, Encoding, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::Result as ParquetResult;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type};

/// How texts are laid out in a file.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Layout {
    codec: u8,
    encoding: u8,
    /// The format's second version, an optional column, and so on, by their bits.
    flags: u8,
    rows_per_group: u8,
    rows_per_page: u8,
}

/// Rows: a text, or null.
#[derive(Debug)]
pub struct Rows(pub Vec<Option<Vec<u8>>>);

impl<'a> Arbitrary<'a> for Rows {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut rows: Vec<Option<Vec<u8>>> = Vec::new();
        while !u.is_empty() && rows.len() < 100 {
            rows.push(match u.arbitrary::<u8>()? {
                0xff => None,
                // As before: what a dictionary is for.
                same @ 0xe0.. if !rows.is_empty() => rows[usize::from(same) % rows.len()].clone(),
                long @ 0xc0.. => Some(vec![long; usize::from(u.arbitrary::<u8>()?) * 4]),
                length => Some(u.bytes(usize::from(length % 16).min(u.len()))?.to_vec()),
            });
        }
        Ok(Self(rows))
    }
}

impl Layout {
    /// Whether rows may be null.
    pub fn is_optional(self) -> bool {
        self.flags & 2 != 0
    }

    /// The path of the column.
    pub fn column(self) -> &'static str {
        if self.flags & 4 != 0 { "group.text" } else { "text" }
    }

    /// Writes a file in which the texts are the second column.
    ///
    /// # Errors
    /// The crate refuses the layout.
    pub fn write(self, rows: &[Option<Vec<u8>>]) -> ParquetResult<Vec<u8>> {
        let number = Type::primitive_type_builder("id", Physical::INT64)
            .with_repetition(Repetition::REQUIRED)
            .build()?;
        let kind = if self.flags & 8 != 0 { ConvertedType::UTF8 } else { ConvertedType::NONE };
        let repetition =
            if self.is_optional() { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let mut text = Type::primitive_type_builder("text", Physical::BYTE_ARRAY)
            .with_repetition(repetition)
            .with_converted_type(kind)
            .build()?;
        if self.flags & 4 != 0 {
            text = Type::group_type_builder("group")
                .with_repetition(repetition)
                .with_fields(vec![Arc::new(text)])
                .build()?;
        }
        let fields = vec![Arc::new(number), Arc::new(text)];
        let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
        let codec = [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::LZ4_RAW,
            Compression::LZ4,
            Compression::GZIP(Default::default()),
            Compression::ZSTD(Default::default()),
            Compression::BROTLI(Default::default()),
        ][usize::from(self.codec) % 7];
        let encoding =
            [Encoding::PLAIN, Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY]
                [usize::from(self.encoding) % 3];
        let version = if self.flags & 1 != 0 {
            WriterVersion::PARQUET_2_0
        } else {
            WriterVersion::PARQUET_1_0
        };
        let path: Vec<String> = self.column().split('.').map(Into::into).collect();
        let properties = WriterProperties::builder()
            .set_compression(codec)
            .set_column_encoding(ColumnPath::from(path), encoding)
            .set_writer_version(version)
            .set_dictionary_enabled(self.flags & 16 != 0)
            // Small enough to fill: then the rest of the texts goes without.
            .set_dictionary_page_size_limit(if self.flags & 32 != 0 { 40 } else { 1 << 20 })
            .set_write_page_header_statistics(self.flags & 64 != 0)
            .set_offset_index_disabled(self.flags & 128 != 0)
            .set_write_batch_size(1)
            .set_data_page_row_count_limit(usize::from(self.rows_per_page % 16) + 1)
            .build();
        let mut bytes = Vec::new();
        let mut writer =
            SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties))?;
        for rows in rows.chunks(usize::from(self.rows_per_group % 32) + 1) {
            let mut group = writer.next_row_group()?;
            let mut is_number = true;
            while let Some(mut column) = group.next_column()? {
                if is_number {
                    let values: Vec<i64> = (0..).take(rows.len()).collect();
                    column.typed::<Int64Type>().write_batch(&values, None, None)?;
                } else {
                    // In an optional group, a text that is null is so at either level.
                    let full = if self.flags & 4 != 0 { 2 } else { 1 };
                    let level = |(i, row): (usize, &Option<Vec<u8>>)| {
                        if row.is_some() { full } else { i as i16 % full }
                    };
                    let levels: Vec<i16> = rows.iter().enumerate().map(level).collect();
                    let texts = rows.iter().flatten();
                    let values: Vec<ByteArray> = texts.map(|text| text.clone().into()).collect();
                    let levels = self.is_optional().then_some(levels.as_slice());
                    column.typed::<ByteArrayType>().write_batch(&values, levels, None)?;
                }
                column.close()?;
                is_number = false;
            }
            group.close()?;
        }
        writer.close()?;
        Ok(bytes)
    }
}
