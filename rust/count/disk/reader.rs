//! A file of counts -> entries.

use std::io::{self, Read};
use std::path::Path;

use super::{BLOCK, Header, MAGIC, VERSION};
use crate::Error;

/// Why a file cannot be read.
#[derive(Debug)]
pub enum Failure {
    /// The system refuses.
    Io(io::Error),
    /// What is wrong with the bytes.
    Damage(String),
}

impl Failure {
    /// The error of reading the file at `path`.
    pub fn of(self, path: &Path) -> Error {
        match self {
            Self::Io(error) => Error::io(path, "cannot read", &error),
            Self::Damage(what) => Error::invalid(format!("{}: {what}", path.display())),
        }
    }
}

impl<T: Into<String>> From<T> for Failure {
    fn from(what: T) -> Self {
        Self::Damage(what.into())
    }
}

/// Reads one entry after the other. The last of them is no proof: only when [`Reader::advance`] has
/// returned `false` is the checksum known to be right.
#[derive(Debug)]
pub struct Reader<R> {
    source: Source<R>,
    header: Header,
    left: u64,
    pretoken: Vec<u8>,
    count: u64,
}

impl<R: Read> Reader<R> {
    /// Reads what comes before the entries.
    pub fn open(input: R) -> Result<Self, Failure> {
        let mut source = Source::new(input);
        match source.array() {
            Ok(magic) if magic == *MAGIC => {}
            Err(Failure::Io(error)) => return Err(Failure::Io(error)),
            _ => return Err("this is no file of pretoken counts".into()),
        }
        let version = u32::from_le_bytes(source.array()?);
        if version != VERSION {
            let what = format!("version {version} of the format is not known, only {VERSION} is");
            return Err(what.into());
        }
        let head = source.header();
        let (header, left) = head.map_err(|failure| source.explain(failure))?;
        Ok(Self { source, header, left, pretoken: Vec::new(), count: 0 })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The pretoken of the entry in hand.
    pub fn pretoken(&self) -> &[u8] {
        &self.pretoken
    }

    /// Its count, not 0.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes the next entry in hand; `false` if there is none and the whole file is in order.
    pub fn advance(&mut self) -> Result<bool, Failure> {
        let entry = self.next_entry();
        entry.map_err(|failure| self.source.explain(failure))
    }

    fn next_entry(&mut self) -> Result<bool, Failure> {
        let source = &mut self.source;
        if self.left == 0 {
            if !source.at_end()? {
                return Err(
                    format!("bytes after the last entry, from {} on", source.place()).into()
                );
            }
            return source.check().map(|()| false);
        }
        self.left -= 1;
        let shared = source.number()?;
        if shared > self.pretoken.len() as u64 {
            let what = format!("the entry before {} repeats what is not there", source.place());
            return Err(what.into());
        }
        let shared = shared as usize;
        let fresh = source.number()?;
        let before = self.pretoken.get(shared).copied();
        self.pretoken.truncate(shared);
        source.read(fresh, &mut self.pretoken)?;
        // Nothing new, or less than what stood there: those that merge files rely on the order.
        if self.pretoken.get(shared).copied() <= before {
            return Err(format!("the entry before {} is out of order", source.place()).into());
        }
        self.count = source.number()?;
        if self.count == 0 {
            return Err(format!("the count before {} is 0", source.place()).into());
        }
        Ok(true)
    }
}

/// Bytes but for the last four, which are the checksum of those before them. Memory is asked for as bytes
/// come, whatever lengths the file claims.
#[derive(Debug)]
struct Source<R> {
    input: R,
    buffer: Vec<u8>,
    /// In the buffer: what was taken, and what can be. What lies behind may be the checksum.
    at: usize,
    ready: usize,
    /// Bytes of the file before the buffer.
    passed: u64,
    hash: crc32fast::Hasher,
}

impl<R: Read> Source<R> {
    fn new(input: R) -> Self {
        let (buffer, hash) = (Vec::with_capacity(BLOCK + 4), crc32fast::Hasher::new());
        Self { input, buffer, at: 0, ready: 0, passed: 0, hash }
    }

    fn place(&self) -> String {
        format!("byte {}", self.passed + self.at as u64)
    }

    /// Whether all but the checksum was taken; reads on if it is not known.
    #[inline]
    fn at_end(&mut self) -> Result<bool, Failure> {
        Ok(self.at == self.ready && !self.refill()?)
    }

    #[cold]
    fn refill(&mut self) -> Result<bool, Failure> {
        self.buffer.drain(..self.ready);
        self.passed += self.ready as u64;
        (self.at, self.ready) = (0, 0);
        let wanted = (BLOCK + 4 - self.buffer.len()) as u64;
        (&mut self.input).take(wanted).read_to_end(&mut self.buffer).map_err(Failure::Io)?;
        self.ready = self.buffer.len().saturating_sub(4);
        self.hash.update(&self.buffer[..self.ready]);
        Ok(self.ready > 0)
    }

    /// Whether the checksum is right, at the end.
    fn check(&self) -> Result<(), Failure> {
        let checksum =
            self.buffer[self.ready..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        if checksum != Some(self.hash.clone().finalize()) {
            return Err("the checksum is wrong: the file is damaged or cut short".into());
        }
        Ok(())
    }

    /// A file whose checksum is wrong is wrong in whatever else; that is what to say of it.
    fn explain(&mut self, failure: Failure) -> Failure {
        if let Failure::Damage(what) = failure {
            loop {
                self.at = self.ready;
                match self.refill() {
                    Ok(true) => {}
                    Ok(false) => return self.check().err().unwrap_or(Failure::Damage(what)),
                    Err(failure) => return failure,
                }
            }
        }
        failure
    }

    /// Appends `length` bytes to others.
    fn read(&mut self, length: u64, out: &mut Vec<u8>) -> Result<(), Failure> {
        let mut missing = length;
        while missing > 0 {
            if self.at_end()? {
                return Err(format!(
                    "{missing} bytes are wanted at {}, but the file is cut short",
                    self.place()
                )
                .into());
            }
            let there = &self.buffer[self.at..self.ready];
            let taken = usize::try_from(missing).map_or(there.len(), |n| n.min(there.len()));
            out.extend_from_slice(&there[..taken]);
            self.at += taken;
            missing -= taken as u64;
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let mut bytes = Vec::with_capacity(N);
        self.read(N as u64, &mut bytes)?;
        let mut array = [0; N];
        array.copy_from_slice(&bytes);
        Ok(array)
    }

    /// The header and the number of entries.
    fn header(&mut self) -> Result<(Header, u64), Failure> {
        let length = u64::from_le_bytes(self.array()?);
        let mut header = Vec::new();
        self.read(length, &mut header)?;
        Ok((Header::parse(&header)?, u64::from_le_bytes(self.array()?)))
    }

    fn number(&mut self) -> Result<u64, Failure> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            if self.at_end()? {
                let what =
                    format!("a number is wanted at {}, but the file is cut short", self.place());
                return Err(what.into());
            }
            let byte = self.buffer[self.at];
            self.at += 1;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(format!("a number before {} has too many digits", self.place()).into())
    }
}
