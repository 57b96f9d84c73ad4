//! 64 bytes in one register, whose comparisons give masks as they are.

use std::arch::x86_64::{
    __m512i, _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_loadu_si512, _mm512_maskz_compress_epi8,
    _mm512_movepi8_mask, _mm512_or_si512, _mm512_set1_epi8, _mm512_storeu_si512, _mm512_sub_epi8,
};

use super::{BLOCK, Masks};

/// The masks of a block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub fn masks(block: &[u8; BLOCK]) -> Masks {
    // SAFETY: the block is 64 readable bytes, and the load needs no alignment.
    let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
    let lower = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
    let space = equal(bytes, b' ');
    Masks {
        letter: within(lower, b'a', b'z'),
        number: within(bytes, b'0', b'9'),
        white: space | within(bytes, b'\t', b'\r'),
        newline: equal(bytes, b'\n') | equal(bytes, b'\r'),
        space,
        apostrophe: equal(bytes, b'\''),
        high: _mm512_movepi8_mask(bytes),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn equal(bytes: __m512i, byte: u8) -> u64 {
    _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte.cast_signed()))
}

/// Bytes from `first` to `last`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn within(bytes: __m512i, first: u8, last: u8) -> u64 {
    let above = _mm512_sub_epi8(bytes, _mm512_set1_epi8(first.cast_signed()));
    _mm512_cmple_epu8_mask(above, _mm512_set1_epi8((last - first).cast_signed()))
}

/// The bytes 0 to 63.
const PLACES: [u8; BLOCK] = {
    let mut places = [0; BLOCK];
    let mut place = 0;
    while place < BLOCK {
        places[place] = place as u8;
        place += 1;
    }
    places
};

/// The places of a mask's bits, from the lowest, and zeros behind them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
pub fn places(mask: u64) -> [u8; BLOCK] {
    // SAFETY: 64 readable bytes, and the load needs no alignment.
    let places = unsafe { _mm512_loadu_si512(PLACES.as_ptr().cast()) };
    let found = _mm512_maskz_compress_epi8(mask, places);
    let mut bytes = [0; BLOCK];
    // SAFETY: 64 writable bytes, and the store needs no alignment.
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), found) };
    bytes
}
