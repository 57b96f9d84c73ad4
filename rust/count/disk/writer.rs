//! Entries -> a file of counts.

use std::io::{self, Seek, SeekFrom, Write};

use super::{BLOCK, Header, MAGIC, VERSION};

/// Takes entries in the order of their pretokens. How many there are is written in the end, so nobody
/// need know it before.
pub struct Writer<W> {
    out: W,
    start: u64,
    /// All before the number of entries.
    head: Vec<u8>,
    entries: u64,
    block: Vec<u8>,
    before: Vec<u8>,
    hash: crc32fast::Hasher,
}

impl<W: Write + Seek> Writer<W> {
    pub fn new(mut out: W, header: &Header) -> io::Result<Self> {
        let header = header.to_json();
        let mut head = MAGIC.to_vec();
        head.extend(VERSION.to_le_bytes());
        head.extend((header.len() as u64).to_le_bytes());
        head.extend(header.as_bytes());
        let start = out.stream_position()?;
        out.write_all(&head)?;
        out.write_all(&0u64.to_le_bytes())?;
        Ok(Self {
            out,
            start,
            head,
            entries: 0,
            block: Vec::with_capacity(BLOCK),
            before: Vec::new(),
            hash: crc32fast::Hasher::new(),
        })
    }

    /// Appends a pretoken, which must come after the one before, and its count, which is not 0.
    pub fn add(&mut self, pretoken: &[u8], count: u64) -> io::Result<()> {
        debug_assert!(count > 0 && *self.before < *pretoken);
        let shared = self.before.iter().zip(pretoken).take_while(|(a, b)| a == b).count();
        let fresh = &pretoken[shared..];
        push_number(&mut self.block, shared as u64);
        push_number(&mut self.block, fresh.len() as u64);
        self.block.extend_from_slice(fresh);
        push_number(&mut self.block, count);
        self.before.truncate(shared);
        self.before.extend_from_slice(fresh);
        self.entries += 1;
        if self.block.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hash.update(&self.block);
        self.out.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    /// Writes the number of entries and the checksum.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        let entries = self.entries.to_le_bytes();
        let mut hash = crc32fast::Hasher::new();
        hash.update(&self.head);
        hash.update(&entries);
        hash.combine(&self.hash);
        self.out.write_all(&hash.finalize().to_le_bytes())?;
        self.out.seek(SeekFrom::Start(self.start + self.head.len() as u64))?;
        self.out.write_all(&entries)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
