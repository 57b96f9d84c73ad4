//! 64 bytes in one register, whose comparisons give masks as they are.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask,
    _mm512_cmple_epu8_mask, _mm512_cvtepu8_epi64, _mm512_loadu_si512, _mm512_maskz_compress_epi8,
    _mm512_movepi8_mask, _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi64,
    _mm512_setzero_si512, _mm512_storeu_si512, _mm512_sub_epi8,
};

use super::{AHEAD, BLOCK, Masks, Places};

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
        upper: within(bytes, b'A', b'Z'),
        number: within(bytes, b'0', b'9'),
        white: space | within(bytes, b'\t', b'\r'),
        newline: equal(bytes, b'\n') | equal(bytes, b'\r'),
        space,
        apostrophe: equal(bytes, b'\''),
        slash: equal(bytes, b'/'),
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

/// As [`super::write`]: the numbers of all bytes, of which one instruction moves those together that are
/// in the mask.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
pub fn write(mask: u64, at: usize, places: &mut Places) {
    const NUMBERS: [u8; BLOCK] = {
        let mut numbers = [0; BLOCK];
        let mut number = 0;
        while number < BLOCK {
            numbers[number] = number as u8;
            number += 1;
        }
        numbers
    };
    // SAFETY: 64 readable bytes, and the load needs no alignment.
    let numbers = unsafe { _mm512_loadu_si512(NUMBERS.as_ptr().cast()) };
    let mut found = _mm512_maskz_compress_epi8(mask, numbers);
    let at = _mm512_set1_epi64(at as i64);
    let count = mask.count_ones() as usize;
    let mut done = 0;
    while done < count {
        let Some(room) = places[done..].first_chunk_mut::<AHEAD>() else { break };
        let eight = _mm512_add_epi64(at, _mm512_cvtepu8_epi64(_mm512_castsi512_si128(found)));
        // SAFETY: the room is for eight words, which are what is stored.
        unsafe { _mm512_storeu_si512(room.as_mut_ptr().cast(), eight) };
        found = _mm512_alignr_epi64(_mm512_setzero_si512(), found, 1);
        done += AHEAD;
    }
}
