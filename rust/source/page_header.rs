//! The header of a Parquet page, as far as it says how large the page is. The parquet crate reads it
//! too, but shows it to nobody before it has made room for what it claims.

use std::io::{self, Read};

use parquet::errors::{ParquetError, Result as ParquetResult};

/// Types of fields in Thrift's compact protocol.
mod field {
    pub const STOP: u8 = 0;
    pub const TRUE: u8 = 1;
    pub const FALSE: u8 = 2;
    pub const BYTE: u8 = 3;
    pub const I16: u8 = 4;
    pub const I32: u8 = 5;
    pub const I64: u8 = 6;
    pub const DOUBLE: u8 = 7;
    pub const BINARY: u8 = 8;
    pub const LIST: u8 = 9;
    pub const SET: u8 = 10;
    pub const STRUCT: u8 = 12;
}

/// The type of pages that hold nothing to read.
const INDEX_PAGE: u64 = 1;

/// Structs and lists within each other; the format has three.
const MOST_NESTED: u8 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub is_index: bool,
    /// Bytes of the header itself.
    pub size: u64,
    /// Bytes of the page behind it in the file, and unpacked.
    pub compressed: u64,
    pub uncompressed: u64,
}

impl PageHeader {
    /// Reads a header from its first byte on.
    pub fn read(input: impl Read) -> ParquetResult<Self> {
        let mut fields = Fields { input, size: 0 };
        fields.header().map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                ParquetError::General(format!("the header of a page is cut off or wrong: {error}"))
            }
            _ => error.into(),
        })
    }
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

struct Fields<R> {
    input: R,
    /// Bytes read so far.
    size: u64,
}

impl<R: Read> Fields<R> {
    fn header(&mut self) -> io::Result<PageHeader> {
        let mut sizes = [None; 3];
        let mut id = 0;
        while let Some(kind) = self.next(&mut id)? {
            match (id, kind) {
                (1..=3, field::I32) => sizes[usize::from(id as u16) - 1] = Some(self.natural()?),
                (1..=4, kind) if kind != field::I32 => {
                    return Err(wrong(format!("field {id} is no number")));
                }
                (5..=8, kind) if kind != field::STRUCT => {
                    return Err(wrong(format!("field {id} is no struct")));
                }
                (_, kind) => self.skip(kind, MOST_NESTED)?,
            }
        }
        match sizes {
            [Some(kind), Some(uncompressed), Some(compressed)] => Ok(PageHeader {
                is_index: kind == INDEX_PAGE,
                size: self.size,
                compressed,
                uncompressed,
            }),
            _ => Err(wrong("it says no type or size")),
        }
    }

    /// The type of the next field of a struct, whose number is put into `id`.
    fn next(&mut self, id: &mut i16) -> io::Result<Option<u8>> {
        let byte = self.byte()?;
        if byte & 15 == field::STOP {
            return Ok(None);
        }
        *id = match byte >> 4 {
            0 => {
                let number = self.varint()?;
                i16::try_from((number >> 1) as i64 ^ -((number & 1) as i64))
                    .map_err(|_| wrong("a field's number is too large"))?
            }
            step => id.checked_add(i16::from(step)).ok_or_else(|| wrong("too many fields"))?,
        };
        Ok(Some(byte & 15))
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        self.size += 1;
        Ok(byte[0])
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(wrong("a number is too long"))
    }

    /// A 32-bit number that is not negative.
    fn natural(&mut self) -> io::Result<u64> {
        let number = self.varint()?;
        // The lowest bit is the sign.
        if number & 1 != 0 || number > u64::from(u32::MAX) {
            return Err(wrong("a size is negative or too large"));
        }
        Ok(number >> 1)
    }

    fn skip(&mut self, kind: u8, depth: u8) -> io::Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(|| wrong("too deep"))?;
        match kind {
            // Of a field, the type is the value.
            field::TRUE | field::FALSE => Ok(()),
            field::BYTE => self.byte().map(drop),
            field::I16 | field::I32 | field::I64 => self.varint().map(drop),
            field::DOUBLE => self.skip_bytes(8),
            field::BINARY => {
                let size = self.varint()?;
                self.skip_bytes(size)
            }
            field::LIST | field::SET => {
                let byte = self.byte()?;
                let length = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
                // Each element has a byte at least, so a claim of too many ends with the input.
                for _ in 0..length {
                    match byte & 15 {
                        field::TRUE | field::FALSE => self.byte().map(drop)?,
                        kind => self.skip(kind, depth)?,
                    }
                }
                Ok(())
            }
            field::STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.next(&mut id)? {
                    self.skip(kind, depth)?;
                }
                Ok(())
            }
            _ => Err(wrong(format!("a field has type {kind}"))),
        }
    }

    fn skip_bytes(&mut self, size: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.input.by_ref().take(size), &mut io::sink())?;
        self.size += skipped;
        if skipped == size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
