//! The bytes of an input, unpacked, and how far into the file they reach.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::format::Packing;
use super::{Source, patient};
use crate::monitor::Stop;
use crate::{Error, Result};

/// Bytes of a packed file that are held at a time.
const PACKED_BUFFER: usize = 1 << 16;

/// Bytes for which memory is taken before they are there.
const RESERVED: usize = 8 << 20;

/// An input that is read front to back. Its errors are for [`Bytes::explain`].
pub(super) struct Bytes {
    name: String,
    reader: Box<dyn Read + Send>,
    /// Bytes that came out.
    delivered: u64,
    /// Bytes that went in, where those are others.
    packed: Option<Arc<AtomicU64>>,
    /// Bytes that a plain file must have; it was that long when it was opened.
    promised: u64,
    stop: Stop,
}

impl Bytes {
    pub fn open(source: &Source, stop: &Stop) -> Result<Self> {
        let failed = |e| Error::io(source.path(), "cannot read", &e);
        let (file, size) = if source.is_stdin() {
            (patient::stdin(stop).map_err(failed)?, None)
        } else {
            let file = File::open(source.path()).map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            if metadata.is_file() {
                (Box::new(file) as Box<dyn Read + Send>, Some(metadata.len()))
            } else {
                (patient::file(file, stop), None)
            }
        };
        let packed = Arc::new(AtomicU64::new(0));
        let metered = |file| {
            let inner = BufReader::with_capacity(PACKED_BUFFER, file);
            Meter { inner, position: Arc::clone(&packed) }
        };
        let reader = match source.packing {
            // As it is, so that the file itself fills the memory it is given.
            Packing::None => file,
            Packing::Gzip => Box::new(MultiGzDecoder::new(metered(file))),
            Packing::Zstd => Box::new(ZstdDecoder::with_buffer(metered(file)).map_err(failed)?),
        };
        let is_packed = source.packing != Packing::None;
        Ok(Self {
            name: source.name(),
            reader,
            delivered: 0,
            packed: is_packed.then_some(packed),
            promised: if is_packed { 0 } else { size.unwrap_or(0) },
            stop: stop.clone(),
        })
    }

    /// What to call the input in a message.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of the file that have been used so far.
    pub fn position(&self) -> u64 {
        self.packed.as_ref().map_or(self.delivered, |packed| packed.load(Relaxed))
    }

    /// Appends `limit` bytes, or all there are until the end; returns how many.
    pub fn append_to(&mut self, buffer: &mut Vec<u8>, limit: usize) -> Result<usize> {
        // An absurd limit takes memory as the input fills it.
        buffer.reserve(limit.min(RESERVED));
        let read = (&mut self.reader).take(limit as u64).read_to_end(buffer);
        let read = read.map_err(|error| self.explain(&error))?;
        self.delivered += read as u64;
        if read < limit {
            self.check_end().map_err(|error| self.explain(&error))?;
        }
        Ok(read)
    }

    /// What an error in reading means.
    pub fn explain(&self, error: &io::Error) -> Error {
        let (name, position) = (&self.name, self.position());
        if self.stop.is_wanted() {
            return Error::cancelled();
        }
        if error.raw_os_error().is_some() {
            return Error::io(name.as_ref(), "cannot read", error);
        }
        Error::invalid(match self.packed {
            Some(_) => format!("{name}: damaged or cut short at byte {position}: {error}"),
            None => format!("{name} {error}"),
        })
    }

    fn check_end(&self) -> io::Result<()> {
        match self.promised.saturating_sub(self.delivered) {
            0 => Ok(()),
            missing => Err(io::Error::other(format!(
                "became shorter while it was read: {missing} bytes are missing"
            ))),
        }
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.delivered += read as u64;
        if read == 0 && !buffer.is_empty() {
            self.check_end()?;
        }
        Ok(read)
    }
}

/// Adds up the bytes that are taken out.
struct Meter<R> {
    inner: R,
    position: Arc<AtomicU64>,
}

impl<R: BufRead> BufRead for Meter<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
        self.position.fetch_add(amount as u64, Relaxed);
    }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.position.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}
