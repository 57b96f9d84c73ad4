//! The patterns of the family from pretoken to pretoken, on any processor.

use super::{Dialect, contraction_len};
use crate::pretokenize::categories::{Categories, CategoryTable};
use crate::{Monitor, Result};

/// Bytes between two looks at the monitor.
const STRIDE: usize = 1 << 20;

/// Calls `emit` with each pretoken of `text` in order; joined, they are the text.
///
/// # Errors
/// The monitor was cancelled.
#[inline]
pub(super) fn for_each<'t, D: Dialect>(
    text: &'t [u8],
    monitor: &Monitor,
    mut emit: impl FnMut(&'t [u8]),
) -> Result<()> {
    let table = CategoryTable::get();
    let mut start = 0;
    while start < text.len() {
        monitor.check()?;
        let stop = text.len().min(start + STRIDE);
        while start < stop {
            let end = pretoken_end::<D>(table, text, start);
            emit(&text[start..end]);
            start = end;
        }
    }
    Ok(())
}

/// Where the pretoken that starts at `at`, a place within `text`, ends.
#[inline]
fn pretoken_end<D: Dialect>(table: &CategoryTable, text: &[u8], at: usize) -> usize {
    let (first, length) = table.at(text, at);
    if D::WORD.has(first) {
        return D::word_end(table, text, at);
    }
    if first == Categories::NUMBER {
        return digits_end(table, text, at + length, D::DIGITS - 1);
    }
    if first == Categories::NEWLINE {
        return whitespace_end(table, text, at, D::WHOLE_TAIL);
    }
    if D::CONTRACTIONS
        && text[at] == b'\''
        && let Some(length) = contraction_len(&text[at..])
    {
        return at + length;
    }
    let next = at + length;
    if next < text.len() {
        let (second, length) = table.at(text, next);
        if D::WORD.has(second) {
            return D::word_end(table, text, next);
        }
        if text[at] == b' ' && D::SYMBOL.has(second) {
            return symbols_end::<D>(table, text, next + length);
        }
    }
    if D::SYMBOL.has(first) {
        return symbols_end::<D>(table, text, next);
    }
    whitespace_end(table, text, at, D::WHOLE_TAIL)
}

/// Where the run of `set` that goes on at `at` ends.
#[inline]
pub(in crate::pretokenize) fn run_end(
    table: &CategoryTable,
    text: &[u8],
    mut at: usize,
    set: Categories,
) -> usize {
    if set.has(Categories::LOWER) {
        // No loop over bytes whose end, another one each time, would be mispredicted.
        while let Some(bytes) = text[at..].first_chunk() {
            let letters = leading_letters(*bytes, set.has(Categories::UPPER));
            at += letters;
            if letters < bytes.len() {
                break;
            }
        }
    }
    while let Some(&byte) = text.get(at) {
        if set.has(table.of_ascii(byte)) {
            at += 1;
        } else if byte < 0x80 {
            break;
        } else {
            let (category, length) = table.at(text, at);
            if !set.has(category) {
                break;
            }
            at += length;
        }
    }
    at
}

/// With how many ASCII letters, small ones or any, eight bytes begin.
#[inline]
fn leading_letters(bytes: [u8; 8], any_case: bool) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let bytes = u64::from_le_bytes(bytes);
    let folded = if any_case { bytes | (0x20 * EACH) } else { bytes };
    let small = folded & !HIGH;
    // The sums carry into a byte's high bit from `a` on, and from behind `z` on.
    let from_a = small + (0x80 - u64::from(b'a')) * EACH;
    let behind_z = small + (0x7f - u64::from(b'z')) * EACH;
    let others = !(from_a & !behind_z & !bytes) & HIGH;
    others.trailing_zeros() as usize / 8
}

/// Where the number that goes on at `at` with at most `most` digits ends.
#[inline]
fn digits_end(table: &CategoryTable, text: &[u8], mut at: usize, most: usize) -> usize {
    for _ in 0..most {
        if at == text.len() {
            break;
        }
        let (category, length) = table.at(text, at);
        if category != Categories::NUMBER {
            break;
        }
        at += length;
    }
    at
}

/// Where the run of symbols that goes on at `at` ends, and the newlines behind it.
#[inline]
fn symbols_end<D: Dialect>(table: &CategoryTable, text: &[u8], at: usize) -> usize {
    let mut at = run_end(table, text, at, D::SYMBOL);
    while text.get(at).is_some_and(|&b| matches!(b, b'\r' | b'\n') || D::SLASHES && b == b'/') {
        at += 1;
    }
    at
}

/// Where the pretoken of whitespace that starts at `at` ends.
#[inline]
fn whitespace_end(table: &CategoryTable, text: &[u8], at: usize, whole_tail: bool) -> usize {
    let (mut end, mut last, mut newline) = (at, at, at);
    while end < text.len() {
        let (category, length) = table.at(text, end);
        if !Categories::WHITESPACE.has(category) {
            break;
        }
        last = end;
        end += length;
        if category == Categories::NEWLINE {
            newline = end;
        }
    }
    if newline > at && !(whole_tail && end == text.len()) {
        newline
    } else if end == text.len() || last == at {
        end
    } else {
        last
    }
}
