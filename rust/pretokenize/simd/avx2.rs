//! 64 bytes in two registers of 32.

use std::arch::asm;
use std::arch::x86_64::{
    __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_or_si256,
    _mm256_set1_epi8, _mm256_sub_epi8,
};

use super::{BLOCK, Masks};

/// The masks of a block.
#[inline]
#[target_feature(enable = "avx2")]
pub fn masks(block: &[u8; BLOCK]) -> Masks {
    // SAFETY: the block is twice 32 readable bytes, and the loads need no alignment.
    let [low, high] = unsafe {
        let halves = block.as_ptr().cast::<__m256i>();
        [_mm256_loadu_si256(halves), _mm256_loadu_si256(halves.add(1))]
    };
    let case = _mm256_set1_epi8(0x20);
    let lower = [_mm256_or_si256(low, case), _mm256_or_si256(high, case)];
    let bytes = [low, high];
    let space = equal(bytes, b' ');
    Masks {
        letter: within(lower, b'a', b'z'),
        upper: within(bytes, b'A', b'Z'),
        number: within(bytes, b'0', b'9'),
        white: space | within(bytes, b'\t', b'\r'),
        newline: equal(bytes, b'\n') | equal(bytes, b'\r'),
        space,
        apostrophe: equal(bytes, b'\''),
        slash: equal(bytes, b'/'),
        high: join(bytes),
    }
}

/// The top bits of all bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn join([low, high]: [__m256i; 2]) -> u64 {
    u64::from(movemask(low)) | u64::from(movemask(high)) << 32
}

/// What `_mm256_movemask_epi8` is. The compiler sees through that, and takes what is done with the masks
/// to be done with vectors of 32 bits, one by one: half as fast.
#[inline]
#[target_feature(enable = "avx2")]
fn movemask(bytes: __m256i) -> u32 {
    let mask;
    // SAFETY: the instruction is one of AVX2, and does nothing but write the register.
    unsafe {
        asm!("vpmovmskb {mask:e}, {bytes}", mask = out(reg) mask, bytes = in(ymm_reg) bytes,
            options(pure, nomem, nostack, preserves_flags));
    }
    mask
}

#[inline]
#[target_feature(enable = "avx2")]
fn equal([low, high]: [__m256i; 2], byte: u8) -> u64 {
    let byte = _mm256_set1_epi8(byte.cast_signed());
    join([_mm256_cmpeq_epi8(low, byte), _mm256_cmpeq_epi8(high, byte)])
}

/// Bytes from `first` to `last`: there is no unsigned comparison, but a minimum.
#[inline]
#[target_feature(enable = "avx2")]
fn within([low, high]: [__m256i; 2], first: u8, last: u8) -> u64 {
    let first_byte = _mm256_set1_epi8(first.cast_signed());
    let span = _mm256_set1_epi8((last - first).cast_signed());
    let compare = |bytes: __m256i| {
        let above = _mm256_sub_epi8(bytes, first_byte);
        _mm256_cmpeq_epi8(_mm256_min_epu8(above, span), above)
    };
    join([compare(low), compare(high)])
}
