//! Counts on disk: counted once, trained from as often as one likes.
//!
//! Little-endian: the magic, a version, the length of a JSON header (pattern and special tokens), the
//! header, the number of entries, the entries in the order of their pretokens (LEB128 numbers: bytes
//! shared with the one before, bytes that follow, those bytes, the count), and a CRC-32 of all that.

use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::Counts;
use crate::atomic::write_atomic;
use crate::{Error, Result};

const MAGIC: &[u8; 16] = b"byteloom counts\n";
const VERSION: u32 = 1;

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
        write_atomic(path, |file| {
            let mut out = Checked { inner: BufWriter::new(file), hash: crc32fast::Hasher::new() };
            self.write(&mut out)?;
            let checksum = out.hash.finalize();
            out.inner.write_all(&checksum.to_le_bytes())?;
            out.inner.flush()
        })
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let header =
            json!({ "pattern": self.pattern, "special_tokens": self.special_tokens }).to_string();
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        let sorted = self.counts.sorted();
        out.write_all(&(sorted.len() as u64).to_le_bytes())?;
        let mut before: &[u8] = &[];
        for (pretoken, count) in &sorted {
            let shared = before.iter().zip(pretoken).take_while(|(a, b)| a == b).count();
            let fresh = &pretoken[shared..];
            write_number(out, shared as u64)?;
            write_number(out, fresh.len() as u64)?;
            out.write_all(fresh)?;
            write_number(out, *count)?;
            before = pretoken;
        }
        Ok(())
    }

    /// Reads what [`CountsFile::save`] wrote.
    ///
    /// # Errors
    /// The file cannot be read, is something else, is of a later version, or is damaged.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "cannot read", &e))?;
        Self::parse(&bytes).map_err(|what| Error::invalid(format!("{}: {what}", path.display())))
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { bytes, at: 0 };
        if reader.take(MAGIC.len() as u64).ok() != Some(MAGIC) {
            return Err("this is no file of pretoken counts".into());
        }
        let version = u32::from_le_bytes(reader.array()?);
        if version != VERSION {
            return Err(format!("version {version} of the format is not known, only {VERSION} is"));
        }
        let (body, checksum) =
            bytes.split_last_chunk::<4>().ok_or("the file is cut short".to_owned())?;
        if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
            return Err("the checksum is wrong: the file is damaged or cut short".into());
        }
        reader.bytes = body;
        let length = u64::from_le_bytes(reader.array()?);
        let (pattern, special_tokens) = parse_header(reader.take(length)?)?;
        let entries = u64::from_le_bytes(reader.array()?);
        let mut counts = Counts::new();
        let mut pretoken = Vec::new();
        for _ in 0..entries {
            let shared = reader.number()?;
            if shared > pretoken.len() as u64 {
                return Err(format!("entry before byte {} repeats what is not there", reader.at));
            }
            pretoken.truncate(shared as usize);
            let fresh = reader.number()?;
            pretoken.extend_from_slice(reader.take(fresh)?);
            counts.add(&pretoken, reader.number()?);
        }
        if reader.at != body.len() {
            return Err(format!("bytes after the last entry, from byte {} on", reader.at));
        }
        Ok(Self { pattern, special_tokens, counts })
    }
}

fn parse_header(header: &[u8]) -> Result<(String, Vec<String>), String> {
    let header: Value = serde_json::from_slice(header)
        .map_err(|error| format!("the header is no JSON: {error}"))?;
    let pattern = header["pattern"].as_str().ok_or("the header has no pattern")?;
    let special = header["special_tokens"].as_array().ok_or("the header has no special_tokens")?;
    let special =
        special.iter().map(|token| token.as_str().map(str::to_owned)).collect::<Option<_>>();
    Ok((pattern.to_owned(), special.ok_or("a special token in the header is no string")?))
}

fn write_number(out: &mut impl Write, mut number: u64) -> std::io::Result<()> {
    while number >= 0x80 {
        out.write_all(&[number as u8 | 0x80])?;
        number >>= 7;
    }
    out.write_all(&[number as u8])
}

/// Passes bytes on and sums them up.
struct Checked<W> {
    inner: W,
    hash: crc32fast::Hasher,
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Takes bytes from the front, never more than there are.
struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn take(&mut self, length: u64) -> Result<&'b [u8], String> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let taken = end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| {
            format!("{length} bytes are wanted at byte {}, but the file is cut short", self.at)
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    fn number(&mut self) -> Result<u64, String> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(format!("a number before byte {} has too many digits", self.at))
    }
}
