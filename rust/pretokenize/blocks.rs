//! Text by blocks of 64 bytes, whose pretokens a pattern's rules find all at once in masks.
//!
//! A bit of a mask is a byte's place in its block, the lowest the first; so `mask << 1` says what
//! stands before each byte, once the last bit of the block before is shifted in. The bytes of a longer
//! character are all of its category.

use super::MAX_BATCH;
use super::bits::first_bytes;
use super::categories::{Categories, CategoryTable};
use super::simd::{self, AHEAD, BLOCK, Masks, Places, Simd};
use crate::{Monitor, Result};

/// Blocks whose pretokens are handed over together.
const GROUP: usize = MAX_BATCH / BLOCK;

/// Groups between two looks at the monitor.
const STRIDE: usize = 1024;

/// What a pattern says about where pretokens start, and what it remembers from block to block.
pub(super) trait Rules: Default {
    /// The starts of pretokens in the next block. Behind the end of the text stands whitespace, in which
    /// starts mean nothing; at the start of the text, neither does the first.
    fn starts(&mut self, block: &Block<'_>) -> u64;
}

/// A block of text, and what is known of its bytes.
#[derive(Debug)]
pub(super) struct Block<'t> {
    /// The text from the block's first byte on, to its end; shorter than a block at the end of a text.
    pub rest: &'t [u8],
    /// The categories of all characters.
    pub table: &'static CategoryTable,
    /// The classes of its ASCII bytes.
    pub ascii: Masks,
    /// Bytes of characters beyond ASCII, by category.
    beyond: [u64; Categories::COUNT],
    /// Bytes that are not the first of their character.
    pub inner: u64,
    /// Those of them at the block's start whose character began in the block before.
    pub spilled: u64,
    /// Bytes of the last character that reach into the next block.
    pub spill: u32,
}

impl Block<'_> {
    /// Bytes of characters beyond ASCII that are of one of some categories.
    #[inline(always)]
    pub(super) fn beyond(&self, set: Categories) -> u64 {
        let masks = self.beyond.iter().enumerate();
        masks.fold(0, |sum, (index, mask)| if set.has_index(index) { sum | mask } else { sum })
    }

    /// Where in `rest` the character behind the block's last one stands.
    #[inline(always)]
    pub(super) fn behind(&self) -> usize {
        BLOCK + self.spill as usize
    }

    /// Whether that is whitespace, or the text ends.
    #[inline(always)]
    pub(super) fn white_behind(&self) -> bool {
        let at = self.behind();
        match self.rest.get(at) {
            Some(&byte @ ..0x80) => Categories::WHITESPACE.has(self.table.of_ascii(byte)),
            Some(_) => Categories::WHITESPACE.has(self.table.at(self.rest, at).0),
            None => true,
        }
    }

    /// The first bytes of the characters whose last bytes are given, as far as they are in this block.
    #[inline(always)]
    pub(super) fn first_bytes(&self, last: u64) -> u64 {
        if last & self.inner == 0 { last } else { first_bytes(last & !self.spilled, self.inner) }
    }
}

/// Where a walk along the blocks of a text has come to.
#[derive(Debug, Default)]
struct Walk<R> {
    /// First byte of the next block.
    at: usize,
    /// How many bytes of a character reach into the next block, and the index of its category.
    spill: u32,
    spill_index: usize,
    rules: R,
}

/// Room for the pretokens of a group of blocks, and for what is written ahead and means nothing.
type Ends = [usize; MAX_BATCH + AHEAD];

/// Finds the ends of pretokens in the next blocks, and how many they are; compiled once for each kind of
/// processor.
#[derive(Debug)]
pub(super) struct Kernel<R>(unsafe fn(&[u8], &mut Walk<R>, &mut Ends) -> usize);

impl<R: Rules> Kernel<R> {
    /// The kernel for a kind of processor; `None` if that has no wide registers, or is not this one.
    #[inline]
    pub(super) fn new(simd: Simd) -> Option<Self> {
        if !simd.is_available() {
            return None;
        }
        match simd {
            Simd::Scalar => None,
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => Some(Self(avx2)),
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => Some(Self(avx512)),
            #[cfg(target_arch = "aarch64")]
            Simd::Neon => Some(Self(neon)),
        }
    }

    /// Hands over the pretokens of `text` in order, as [`super::Pretokenizer::for_each_batch`].
    ///
    /// # Errors
    /// The monitor was cancelled.
    #[inline]
    pub(super) fn for_each_batch(
        self,
        text: &[u8],
        monitor: &Monitor,
        mut consume: impl FnMut(usize, &[usize]),
    ) -> Result<()> {
        let mut walk = Walk::default();
        let mut ends = [0; MAX_BATCH + AHEAD];
        let mut start = 0;
        let mut until_check = 0;
        // A block more where the text fills the last one, for there is the last pretoken's end.
        while walk.at <= text.len() && !text.is_empty() {
            if until_check == 0 {
                monitor.check()?;
                until_check = STRIDE;
            }
            until_check -= 1;
            // SAFETY: a kernel is only made of a `Simd` that is available.
            let found = unsafe { self.0(text, &mut walk, &mut ends) };
            if let Some(&last) = ends[..found].last() {
                consume(start, &ends[..found]);
                start = last;
            }
        }
        Ok(())
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,bmi2,popcnt")]
fn avx512<R: Rules>(text: &[u8], walk: &mut Walk<R>, ends: &mut Ends) -> usize {
    let masks = |block: &_| simd::avx512::masks(block);
    fill(text, walk, ends, masks, |starts, at, room| simd::avx512::write(starts, at, room))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn avx2<R: Rules>(text: &[u8], walk: &mut Walk<R>, ends: &mut Ends) -> usize {
    fill(text, walk, ends, |block| simd::avx2::masks(block), simd::write)
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon<R: Rules>(text: &[u8], walk: &mut Walk<R>, ends: &mut Ends) -> usize {
    fill(text, walk, ends, |block| simd::neon::masks(block), simd::write)
}

/// Writes the ends of the pretokens in the next blocks, which are where others start, the text's end among
/// them and its start not; returns how many they are.
#[inline(always)]
fn fill<R: Rules>(
    text: &[u8],
    walk: &mut Walk<R>,
    ends: &mut Ends,
    masks: impl Fn(&[u8; BLOCK]) -> Masks,
    write: impl Fn(u64, usize, &mut Places),
) -> usize {
    let table = CategoryTable::get();
    let mut found = 0;
    for _ in 0..GROUP {
        let Some(rest) = text.get(walk.at..) else { break };
        // Nothing but whitespace changes nothing about what stands before it.
        let ascii = match rest.first_chunk() {
            Some(block) => masks(block),
            None => {
                let mut block = [b' '; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                masks(&block)
            }
        };
        let beyond = [0; Categories::COUNT];
        let mut block = Block { rest, table, ascii, beyond, inner: 0, spilled: 0, spill: 0 };
        if ascii.high != 0 {
            walk.decode(&mut block);
        }
        let mut starts = walk.rules.starts(&block);
        if walk.at == 0 {
            starts &= !1;
        }
        if rest.len() < BLOCK {
            starts = starts & ((1 << rest.len()) - 1) | 1 << rest.len();
        }
        // There is always room: no block before had more starts than bytes.
        let Some(room) = ends[found..].first_chunk_mut() else { break };
        write(starts, walk.at, room);
        found += starts.count_ones() as usize;
        walk.at += BLOCK;
    }
    found
}

impl<R> Walk<R> {
    /// Finds the categories of the characters beyond ASCII.
    #[inline(always)]
    fn decode(&mut self, block: &mut Block<'_>) {
        let spilled = (1 << self.spill) - 1;
        block.beyond[self.spill_index] = spilled;
        let mut todo = block.ascii.high & !spilled;
        block.spilled = spilled;
        block.inner = spilled;
        self.spill = 0;
        while todo != 0 {
            let at = todo.trailing_zeros();
            let (category, length) = block.table.at(block.rest, at as usize);
            let bytes = ((1 << length) - 1) << at;
            block.beyond[category.index()] |= bytes;
            block.inner |= bytes & (bytes << 1);
            todo &= !bytes;
            self.spill = (at + length as u32).saturating_sub(BLOCK as u32);
            self.spill_index = category.index();
        }
        block.spill = self.spill;
    }
}
