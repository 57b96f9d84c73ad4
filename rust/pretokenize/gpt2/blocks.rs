//! The GPT-2 pattern, 64 bytes at a time: where pretokens start follows from masks by shifts.
//!
//! Every byte belongs to a class, those of a longer character all to the character's. A pretoken then
//! starts
//!
//! - at a character that is no whitespace, unless the one before is of the same class, or a space;
//! - at the first whitespace of a run, and at its last, unless the text ends there;
//! - behind a contraction, and not within it.
//!
//! A bit of a mask is a byte's place in its block, the lowest the first; so `mask << 1` says what
//! stands before each byte, once the last bit of the block before is shifted in.

use super::contraction_len;
use crate::pretokenize::MAX_BATCH;
use crate::pretokenize::classes::{Class, Classes};
use crate::pretokenize::simd::{self, BLOCK, Masks, Simd};
use crate::{Monitor, Result};

/// Blocks whose pretokens are handed over together.
const GROUP: usize = MAX_BATCH / BLOCK;

/// Groups between two looks at the monitor.
const STRIDE: usize = 1024;

/// Finds the ends of pretokens in the next blocks, and how many they are; compiled once for each kind of
/// processor.
#[derive(Clone, Copy, Debug)]
pub struct Kernel(unsafe fn(&[u8], &mut Walk, &mut Ends) -> usize);

/// Room for the pretokens of a group of blocks, and for what is written ahead and means nothing.
type Ends = [usize; MAX_BATCH + AHEAD];

/// Ends that are written at a time, whether there are so many or not: no branch depends on the text.
const AHEAD: usize = 8;

/// Where a walk along the blocks of a text has come to, and what it must remember.
#[derive(Debug, Default)]
struct Walk {
    /// First byte of the next block.
    at: usize,
    /// The class of the byte before it, as its bit in the masks.
    before: [u64; 4],
    /// Whether that byte is a space.
    space_before: u64,
    /// How many bytes of a character reach into the next block, and its class.
    spill: u32,
    spill_class: usize,
    /// A contraction reaches into the next block: bits that are, and are not, starts there.
    starts: u64,
    no_starts: u64,
}

impl Kernel {
    /// The kernel for a processor; `None` if it has no wide registers.
    #[inline]
    pub fn new(simd: Simd) -> Option<Self> {
        debug_assert!(simd.is_available());
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
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,popcnt")]
fn avx512(text: &[u8], walk: &mut Walk, ends: &mut Ends) -> usize {
    fill(text, walk, ends, |block| simd::avx512::masks(block))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn avx2(text: &[u8], walk: &mut Walk, ends: &mut Ends) -> usize {
    fill(text, walk, ends, |block| simd::avx2::masks(block))
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon(text: &[u8], walk: &mut Walk, ends: &mut Ends) -> usize {
    fill(text, walk, ends, |block| simd::neon::masks(block))
}

/// Hands over the pretokens of `text` in order, as [`super::for_each_batch`].
///
/// # Errors
/// The monitor was cancelled.
#[inline]
pub fn for_each_batch(
    text: &[u8],
    kernel: Kernel,
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
        let found = unsafe { kernel.0(text, &mut walk, &mut ends) };
        if let Some(&last) = ends[..found].last() {
            consume(start, &ends[..found]);
            start = last;
        }
    }
    Ok(())
}

/// Writes the ends of the pretokens in the next blocks, which are where others start, the text's end among
/// them and its start not; returns how many they are.
#[inline(always)]
fn fill(
    text: &[u8],
    walk: &mut Walk,
    ends: &mut Ends,
    masks: impl Fn(&[u8; BLOCK]) -> Masks,
) -> usize {
    let classes = Classes::get();
    let mut found = 0;
    for _ in 0..GROUP {
        let Some(rest) = text.get(walk.at..) else { break };
        // Behind the end of the text stands whitespace, for nothing but whitespace changes nothing.
        let masks = match rest.first_chunk() {
            Some(block) => masks(block),
            None => {
                let mut block = [b' '; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                masks(&block)
            }
        };
        let mut starts = starts(classes, rest, walk, &masks);
        if walk.at == 0 {
            starts &= !1;
        }
        if rest.len() < BLOCK {
            starts = starts & ((1 << rest.len()) - 1) | 1 << rest.len();
        }
        let behind = found + starts.count_ones() as usize;
        while found < behind {
            let Some(room) = ends[found..].first_chunk_mut::<AHEAD>() else { break };
            for end in room {
                *end = walk.at + starts.trailing_zeros() as usize;
                starts &= starts.wrapping_sub(1);
            }
            found += AHEAD;
        }
        found = behind;
        walk.at += BLOCK;
    }
    found
}

/// The starts of pretokens in the block at the start of `rest`.
#[inline(always)]
fn starts(classes: &Classes, rest: &[u8], walk: &mut Walk, masks: &Masks) -> u64 {
    const OTHER: usize = Class::Other as usize;
    const LETTER: usize = Class::Letter as usize;
    const NUMBER: usize = Class::Number as usize;
    const SPACE: usize = Class::Space as usize;

    let mut class = [0; 4];
    class[LETTER] = masks.letter;
    class[NUMBER] = masks.number;
    class[SPACE] = masks.white;
    class[OTHER] = !(masks.letter | masks.number | masks.white | masks.high);
    // What is left of the last block's last character, and all later bytes of characters.
    let spilled = (1 << walk.spill) - 1;
    let mut inner = spilled;
    if masks.high != 0 {
        class[walk.spill_class] |= spilled;
        walk.spill = 0;
        let mut todo = masks.high & !spilled;
        while todo != 0 {
            let at = todo.trailing_zeros();
            let (of, length) = classes.first(&rest[at as usize..]);
            let bytes = ((1 << length) - 1) << at;
            class[of as usize] |= bytes;
            inner |= bytes & (bytes << 1);
            todo &= !bytes;
            walk.spill = (at + length as u32).saturating_sub(BLOCK as u32);
            walk.spill_class = of as usize;
        }
    }

    let white = class[SPACE];
    let before = |class_index: usize| class[class_index] << 1 | walk.before[class_index];
    let same = class[LETTER] & before(LETTER)
        | class[NUMBER] & before(NUMBER)
        | class[OTHER] & before(OTHER);
    let mut starts = !(white | same | masks.space << 1 | walk.space_before);
    starts |= white & !before(SPACE);

    // The last whitespace of a run; what stands behind the block decides about its end.
    let behind = BLOCK + walk.spill as usize;
    let white_behind = white >> 63 == 1
        && (rest.len() <= behind || classes.first(&rest[behind..]).0 == Class::Space);
    let mut last = white & !(white >> 1 | u64::from(white_behind) << 63);
    if last & inner != 0 {
        last = first_bytes(last & !spilled, inner);
    }
    starts |= last;

    starts = (starts | walk.starts) & !walk.no_starts;
    (walk.starts, walk.no_starts) = (0, 0);
    let mut apostrophes = masks.apostrophe & starts;
    while apostrophes != 0 {
        let at = apostrophes.trailing_zeros();
        apostrophes &= apostrophes - 1;
        if let Some(length) = contraction_len(&rest[at as usize..]) {
            let end = 1u128 << length << at;
            let within = (end - 1) & !((2 << at) - 1);
            starts = starts & !(within as u64) | end as u64;
            walk.no_starts |= (within >> BLOCK) as u64;
            walk.starts |= (end >> BLOCK) as u64;
        }
    }

    walk.before = class.map(|mask| mask >> 63);
    walk.space_before = masks.space >> 63;
    starts
}

/// The first bytes of the characters whose last bytes are given; `inner` are all that are not first.
#[cold]
fn first_bytes(last: u64, inner: u64) -> u64 {
    let (mut first, mut moving) = (last & !inner, last & inner);
    while moving != 0 {
        let moved = moving >> 1;
        first |= moved & !inner;
        moving = moved & inner;
    }
    first
}
