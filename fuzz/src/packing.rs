//! gzip and zstd: files of several parts, and what they hold by the slow way, as a whole.

use std::io::Write;

use arbitrary::{Arbitrary, Result, Unstructured};
use flate2::{Compression, Decompress, FlushDecompress, GzBuilder, Status};

use crate::edits::edit_bytes;
use crate::json::Lines;
use crate::zstd_frames::Frame;

/// Bytes that an archive of some kilobytes may hold here; they can hold thousands of times more.
const MOST: usize = 1 << 20;

/// How a file is compressed.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Packing {
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

/// A compressed file, in order or not.
#[derive(Debug)]
pub struct Archive {
    /// How it is compressed.
    pub packing: Packing,
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// What was packed, unless it was damaged then.
    pub content: Option<Vec<u8>>,
}

impl<'a> Arbitrary<'a> for Archive {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let packing = Packing::arbitrary(u)?;
        if u.arbitrary()? {
            return Ok(Self { packing, bytes: u.bytes(u.len())?.to_vec(), content: None });
        }
        let mut edits = Unstructured::new(u.bytes(u.len().min(48))?);
        let damaged: bool = edits.arbitrary()?;
        // Each part is packed in its own way, by three numbers.
        let ways = [<[u8; 3]>::arbitrary(&mut edits)?; 4].map(|way| way.map(|n| n.rotate_left(3)));
        let parts = usize::from(edits.arbitrary::<u8>()?) % 4 + 1;
        let content = Lines::arbitrary(u)?.0;
        let length = content.len().div_ceil(parts).max(1);
        let mut bytes = Vec::new();
        for (part, way) in content.chunks(length).zip(ways) {
            let packed = match packing {
                Packing::Gzip => gzip(part, way),
                Packing::Zstd => zstd(part, way),
            };
            bytes.extend(packed.map_err(|_| arbitrary::Error::IncorrectFormat)?);
        }
        let content = (!damaged && !bytes.is_empty()).then_some(content);
        if damaged && edit_bytes(&mut bytes, &mut edits).is_err() {
            bytes.truncate(bytes.len() / 2);
        }
        Ok(Self { packing, bytes, content })
    }
}

fn gzip(part: &[u8], [level, fields, extra]: [u8; 3]) -> std::io::Result<Vec<u8>> {
    let mut builder = GzBuilder::new().mtime(u32::from(extra));
    if fields & 1 != 0 {
        builder = builder.filename("a name");
    }
    if fields & 2 != 0 {
        builder = builder.comment("");
    }
    if fields & 4 != 0 {
        builder = builder.extra(vec![extra; usize::from(extra % 9)]);
    }
    let mut encoder = builder.write(Vec::new(), Compression::new(u32::from(level % 10)));
    encoder.write_all(part)?;
    encoder.finish()
}

fn zstd(part: &[u8], [level, fields, extra]: [u8; 3]) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), i32::from(level % 12) - 3)?;
    encoder.include_checksum(fields & 1 != 0)?;
    encoder.include_contentsize(fields & 2 != 0)?;
    if fields & 2 != 0 {
        encoder.set_pledged_src_size(Some(part.len() as u64))?;
    }
    encoder.write_all(&part[..part.len() / 2])?;
    if fields & 4 != 0 {
        encoder.flush()?;
    }
    encoder.write_all(&part[part.len() / 2..])?;
    let mut packed = encoder.finish()?;
    if fields & 8 != 0 {
        // A frame that readers pass over.
        packed.extend([0x50 + extra % 16, 0x2a, 0x4d, 0x18, extra % 4, 0, 0, 0]);
        packed.extend(vec![extra; usize::from(extra % 4)]);
    }
    Ok(packed)
}

/// What a file holds, by other means than the reader's.
#[derive(Debug, PartialEq, Eq)]
pub enum Held {
    /// This.
    Bytes(Vec<u8>),
    /// This, but a reader in bounded memory may refuse it.
    Refusable(Vec<u8>),
    /// Nothing that can be trusted: it is damaged.
    Damaged,
    /// More than anybody would wait for.
    TooMuch,
}

/// Unpacks a file that is held whole.
pub fn unpacked(packing: Packing, bytes: &[u8]) -> Held {
    if bytes.is_empty() {
        return Held::Damaged;
    }
    match packing {
        Packing::Gzip => {
            let (mut rest, mut content) = (bytes, Vec::new());
            while !rest.is_empty() {
                match member(rest, &mut content) {
                    Some(after) if content.len() <= MOST => rest = after,
                    Some(_) => return Held::TooMuch,
                    None if content.len() > MOST => return Held::TooMuch,
                    None => return Held::Damaged,
                }
            }
            Held::Bytes(content)
        }
        Packing::Zstd => {
            let (mut rest, mut content, mut is_refusable) = (bytes, Vec::new(), false);
            while !rest.is_empty() {
                let Some((frame, after)) = Frame::split_off(rest) else { return Held::Damaged };
                match zstd::bulk::decompress(frame.bytes, MOST) {
                    Ok(held) if content.len() + held.len() <= MOST => {
                        is_refusable |= frame.is_refusable(held.len());
                        content.extend(held);
                    }
                    Err(error) if !error.to_string().contains("too small") => {
                        return Held::Damaged;
                    }
                    _ => return Held::TooMuch,
                }
                rest = after;
            }
            if is_refusable { Held::Refusable(content) } else { Held::Bytes(content) }
        }
    }
}

/// Appends what a member of a gzip file (RFC 1952) holds and returns what stands behind it; `None` if it
/// is damaged or, with more than `MOST` bytes by then, too long.
fn member<'a>(bytes: &'a [u8], content: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (header, mut rest) = bytes.split_first_chunk::<10>()?;
    let flags = header[3];
    if header[..3] != [0x1f, 0x8b, 8] || flags & 0b1110_0000 != 0 {
        return None;
    }
    if flags & 4 != 0 {
        let (length, after) = rest.split_first_chunk()?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    // A name and a comment.
    for _ in 0..(flags & 8).count_ones() + (flags & 16).count_ones() {
        let end = rest.iter().position(|&byte| byte == 0)?;
        rest = &rest[end + 1..];
    }
    if flags & 2 != 0 {
        let sum = crc32fast::hash(&bytes[..bytes.len() - rest.len()]) as u16;
        rest = rest.strip_prefix(&sum.to_le_bytes())?;
    }
    let mut inflate = Decompress::new(false);
    let begin = content.len();
    loop {
        content.reserve(MOST / 16);
        let (before, used) = (inflate.total_out(), inflate.total_in() as usize);
        let status = inflate.decompress_vec(rest.get(used..)?, content, FlushDecompress::None);
        match status.ok()? {
            Status::StreamEnd => break,
            _ if content.len() > MOST => return None,
            _ if (before, used) == (inflate.total_out(), inflate.total_in() as usize) => {
                return None;
            }
            _ => {}
        }
    }
    let held = &content[begin..];
    let sums = [crc32fast::hash(held).to_le_bytes(), (held.len() as u32).to_le_bytes()].concat();
    rest.get(inflate.total_in() as usize..)?.strip_prefix(&sums[..])
}
