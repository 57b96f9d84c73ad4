//! The pattern of GPT-4 and its relatives, scanned by hand: no regular expression is run.
//!
//! `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s`
//! says: a contraction in either case (`ſ` is an s here), or a word with at most one character before it
//! that is neither a newline nor a number, or up to three digits, or a run of symbols with at most one
//! space before and any newlines behind, or whitespace: all of it at the end of the text, else up to
//! its last newline, else all but its last character, which is left to what follows.
//!
//! The relatives say the same with other constants: a [`Dialect`].

use super::categories::{Categories, CategoryTable};
use crate::{Monitor, Result};

/// Bytes between two looks at the monitor.
const STRIDE: usize = 1 << 20;

/// What the patterns of the family differ in.
pub(super) trait Dialect {
    /// Words are made of these.
    const WORD: Categories = Categories::LETTER;
    /// Runs of symbols are made of these.
    const SYMBOL: Categories = Categories::OTHER.or(Categories::MARK);
    /// The most digits in one pretoken.
    const DIGITS: usize;
    /// Whether a contraction is a pretoken of its own.
    const CONTRACTIONS: bool = true;
    /// Whether slashes may stand among the newlines behind symbols.
    const SLASHES: bool = false;
    /// Whether whitespace at the end of the text is one pretoken, newlines or not.
    const WHOLE_TAIL: bool = false;

    /// Where the word that starts at `at` ends.
    #[inline]
    fn word_end(table: &CategoryTable, text: &[u8], at: usize) -> usize {
        run_end(table, text, at, Self::WORD)
    }
}

/// GPT-4's.
pub(super) struct Cl100k;

impl Dialect for Cl100k {
    const DIGITS: usize = 3;
    const WHOLE_TAIL: bool = true;
}

/// Llama 3's.
pub(super) struct Llama3;

impl Dialect for Llama3 {
    const DIGITS: usize = 3;
}

/// Qwen 2's, 2.5's and 3's.
pub(super) struct Qwen2;

impl Dialect for Qwen2 {
    const DIGITS: usize = 1;
}

/// Qwen 3.5's: marks are parts of words.
pub(super) struct Qwen35;

impl Dialect for Qwen35 {
    const WORD: Categories = Categories::LETTER.or(Categories::MARK);
    const SYMBOL: Categories = Categories::OTHER;
    const DIGITS: usize = 1;
}

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
pub(super) fn run_end(table: &CategoryTable, text: &[u8], mut at: usize, set: Categories) -> usize {
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

/// Length of the contraction at the start of `text`, which begins with an apostrophe. To a regex
/// engine that ignores case, `ſ` (U+017F) is an s too; no other letter here has such a twin.
#[inline]
pub(super) fn contraction_len(text: &[u8]) -> Option<usize> {
    let lower = |at: usize| text.get(at).map(u8::to_ascii_lowercase);
    match lower(1)? {
        b's' | b'd' | b'm' | b't' => Some(2),
        b'l' if lower(2) == Some(b'l') => Some(3),
        b'v' | b'r' if lower(2) == Some(b'e') => Some(3),
        0xc5 if text.get(2) == Some(&0xbf) => Some(3),
        _ => None,
    }
}

/// Whether `text` can be cut at `at`, with at least one character on both sides and no other
/// knowledge, so that under every dialect both parts split on their own as they do together.
///
/// A pretoken depends only on what follows its start, so a place will do if one ends there whatever
/// comes before, and if the part before it would not split otherwise for ending there.
pub(super) fn is_cut(text: &[u8], at: usize) -> bool {
    let table = CategoryTable::get();
    let (before, (after, _)) = (table.before(text, at), table.at(text, at));
    // What ends a pretoken that has come to `before`.
    let ends = match before {
        // Any whitespace before a newline is one pretoken with it; o200k joins slashes to newlines
        // that stand behind symbols.
        Categories::NEWLINE => {
            return text[at - 1] == b'\n' && text[at] != b'/' && !Categories::WHITESPACE.has(after);
        }
        // More of it leaves its last character to what follows.
        Categories::SPACE => return false,
        Categories::NUMBER => return after != Categories::NUMBER,
        // Symbols may have newlines behind them, and be what stands before a word.
        Categories::OTHER | Categories::MARK => Categories::SPACE.or(Categories::NUMBER),
        // In o200k contractions are parts of words.
        _ if text[at] == b'\'' => return false,
        _ => Categories::WHITESPACE.or(Categories::NUMBER).or(Categories::OTHER),
    };
    ends.has(after)
}
