//! The frames of a zstd file (RFC 8878), as far as their headers tell.

/// What a block may hold at most; no more than the window either.
const LARGEST_BLOCK: u64 = 128 << 10;

/// The largest window for which the reader makes room.
const LARGEST_WINDOW: u64 = 128 << 20;

/// A frame, of content or to be passed over.
pub struct Frame<'a> {
    /// All of it, from the magic number to the checksum.
    pub bytes: &'a [u8],
    window: u64,
    /// The largest size that a block claims: that of its content or, where it is compressed, of itself.
    largest_block: u64,
    has_compressed_block: bool,
}

impl<'a> Frame<'a> {
    /// The first frame of a file, and what stands behind it; `None` if it is none or is cut short.
    pub fn split_off(file: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut rest = file;
        let mut frame =
            Self { bytes: file, window: 0, largest_block: 0, has_compressed_block: false };
        match number(&mut rest, 4)? {
            0x184d_2a50..=0x184d_2a5f => {
                let size = number(&mut rest, 4)?;
                rest = rest.get(size as usize..)?;
            }
            0xfd2f_b528 => {
                let has_checksum = frame.header(&mut rest)?;
                while !frame.block(&mut rest)? {}
                if has_checksum {
                    number(&mut rest, 4)?;
                }
            }
            _ => return None,
        }
        frame.bytes = &file[..file.len() - rest.len()];
        Some((frame, rest))
    }

    /// Whether a reader in bounded memory may refuse this frame, though zstd unpacks it as a whole to
    /// `size` bytes: the window is too large for the reader, or a block for the format.
    pub fn is_refusable(&self, size: usize) -> bool {
        let limit = self.window.min(LARGEST_BLOCK);
        // What compressed blocks refer to is not looked at. In a frame that holds more than a block may,
        // they could become too large, or reach back further than the window.
        let is_unclear = self.has_compressed_block && size as u64 > limit;
        self.window > LARGEST_WINDOW || self.largest_block > limit || is_unclear
    }

    /// Takes what stands between the magic number and the blocks; says whether there is a checksum.
    fn header(&mut self, rest: &mut &[u8]) -> Option<bool> {
        let descriptor = number(rest, 1)?;
        let is_one_segment = descriptor & 0x20 != 0;
        if !is_one_segment {
            let window = number(rest, 1)?;
            let base = 1 << (10 + (window >> 3));
            self.window = base + base / 8 * (window & 7);
        }
        let _dictionary = number(rest, [0, 1, 2, 4][descriptor as usize & 3])?;
        let content = match descriptor >> 6 {
            0 => number(rest, usize::from(is_one_segment))?,
            1 => number(rest, 2)? + 256,
            2 => number(rest, 4)?,
            _ => number(rest, 8)?,
        };
        if is_one_segment {
            self.window = content;
        }
        Some(descriptor & 4 != 0)
    }

    /// Takes a block; says whether it is the last one.
    fn block(&mut self, rest: &mut &[u8]) -> Option<bool> {
        let header = number(rest, 3)?;
        let (is_last, kind, size) = (header & 1 != 0, header >> 1 & 3, header >> 3);
        // Of a byte that is repeated, there is one.
        let stored = if kind == 1 { 1 } else { size };
        *rest = rest.get(stored as usize..)?;
        self.largest_block = self.largest_block.max(size);
        self.has_compressed_block |= kind == 2;
        Some(is_last)
    }
}

/// Takes a number of so many bytes, the lowest first.
fn number(rest: &mut &[u8], size: usize) -> Option<u64> {
    let (bytes, after) = rest.split_at_checked(size)?;
    *rest = after;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}
