//! 64 bytes in four registers of 16.

use std::arch::aarch64::{
    uint8x16_t, vandq_u8, vceqq_u8, vcgeq_u8, vcleq_u8, vdupq_n_u8, vgetq_lane_u64, vld1q_u8,
    vorrq_u8, vpaddq_u8, vreinterpretq_u64_u8, vsubq_u8,
};

use super::{BLOCK, Masks};

type Bytes = [uint8x16_t; 4];

/// What each byte of eight adds to the byte of a mask.
const WEIGHTS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

/// The masks of a block.
#[inline]
#[target_feature(enable = "neon")]
pub fn masks(block: &[u8; BLOCK]) -> Masks {
    // SAFETY: the block is four times 16 readable bytes, and the loads need no alignment.
    let bytes: Bytes = unsafe {
        let start = block.as_ptr();
        [vld1q_u8(start), vld1q_u8(start.add(16)), vld1q_u8(start.add(32)), vld1q_u8(start.add(48))]
    };
    let case = vdupq_n_u8(0x20);
    let lower = bytes.map(|part| vorrq_u8(part, case));
    let space = equal(bytes, b' ');
    let first_high = vdupq_n_u8(0x80);
    Masks {
        letter: within(lower, b'a', b'z'),
        upper: within(bytes, b'A', b'Z'),
        number: within(bytes, b'0', b'9'),
        white: space | within(bytes, b'\t', b'\r'),
        newline: equal(bytes, b'\n') | equal(bytes, b'\r'),
        space,
        apostrophe: equal(bytes, b'\''),
        slash: equal(bytes, b'/'),
        high: join(bytes.map(|part| vcgeq_u8(part, first_high))),
    }
}

/// One bit for each byte, of which all are 0x00 or 0xff: weighed, and added up by neighbours.
#[inline]
#[target_feature(enable = "neon")]
fn join(bytes: Bytes) -> u64 {
    // SAFETY: the weights are 16 readable bytes.
    let weights = unsafe { vld1q_u8(WEIGHTS.as_ptr()) };
    let [a, b, c, d] = bytes.map(|part| vandq_u8(part, weights));
    let quarters = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
    vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(quarters, quarters)))
}

#[inline]
#[target_feature(enable = "neon")]
fn equal(bytes: Bytes, byte: u8) -> u64 {
    let byte = vdupq_n_u8(byte);
    join(bytes.map(|part| vceqq_u8(part, byte)))
}

/// Bytes from `first` to `last`.
#[inline]
#[target_feature(enable = "neon")]
fn within(bytes: Bytes, first: u8, last: u8) -> u64 {
    let (first_byte, span) = (vdupq_n_u8(first), vdupq_n_u8(last - first));
    join(bytes.map(|part| vcleq_u8(vsubq_u8(part, first_byte), span)))
}
