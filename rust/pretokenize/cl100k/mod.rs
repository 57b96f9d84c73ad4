//! The pattern of GPT-4 and its relatives, scanned by hand: no regular expression is run.
//!
//! `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s`
//! says: a contraction in either case (`ſ` is an s here), or a word with at most one character before it
//! that is neither a newline nor a number, or up to three digits, or a run of symbols with at most one
//! space before and any newlines behind, or whitespace: all of it at the end of the text, else up to
//! its last newline, else all but its last character, which is left to what follows.
//!
//! The relatives say the same with other constants: a [`Dialect`].
//!
//! [`blocks`] finds the starts of all pretokens in 64 bytes at a time, where the processor has wide
//! registers; [`scalar`] goes from pretoken to pretoken.

mod blocks;
mod scalar;

use super::batch::Batch;
use super::blocks::Kernel;
use super::categories::{Categories, CategoryTable};
use super::simd::Simd;
use crate::{Monitor, Result};
pub(super) use scalar::run_end;

/// What the patterns of the family differ in.
pub(super) trait Dialect: Default {
    /// Words are made of these.
    const WORD: Categories = Categories::LETTER;
    /// Runs of symbols are made of these.
    const SYMBOL: Categories = Categories::OTHER.or(Categories::MARK);
    /// The most digits in one pretoken.
    const DIGITS: usize;
    /// Whether a contraction is a pretoken of its own.
    const CONTRACTIONS: bool = true;
    /// Whether one is part of the word before it.
    const SUFFIXES: bool = false;
    /// Whether words end where a capital follows a small letter, and symbols take marks in.
    const CASES: bool = false;
    /// Whether slashes may stand among the newlines behind symbols.
    const SLASHES: bool = false;
    /// Whether whitespace at the end of the text is one pretoken, newlines or not.
    const WHOLE_TAIL: bool = false;

    /// Where the word that starts at `at` ends.
    #[inline]
    fn word_end(table: &CategoryTable, text: &[u8], at: usize) -> usize {
        scalar::run_end(table, text, at, Self::WORD)
    }
}

/// GPT-4's.
#[derive(Debug, Default)]
pub(super) struct Cl100k;

impl Dialect for Cl100k {
    const DIGITS: usize = 3;
    const WHOLE_TAIL: bool = true;
}

/// Llama 3's.
#[derive(Debug, Default)]
pub(super) struct Llama3;

impl Dialect for Llama3 {
    const DIGITS: usize = 3;
}

/// Qwen 2's, 2.5's and 3's.
#[derive(Debug, Default)]
pub(super) struct Qwen2;

impl Dialect for Qwen2 {
    const DIGITS: usize = 1;
}

/// Qwen 3.5's: marks are parts of words.
#[derive(Debug, Default)]
pub(super) struct Qwen35;

impl Dialect for Qwen35 {
    const WORD: Categories = Categories::LETTER.or(Categories::MARK);
    const SYMBOL: Categories = Categories::OTHER;
    const DIGITS: usize = 1;
}

/// Hands over the pretokens of `text` in order and in batches, by a way of scanning that this processor
/// can run; see [`super::Pretokenizer::for_each_batch`].
///
/// # Errors
/// The monitor was cancelled.
#[inline]
pub(super) fn for_each_batch<D: Dialect>(
    text: &[u8],
    simd: Simd,
    monitor: &Monitor,
    consume: impl FnMut(usize, &[usize]),
) -> Result<()> {
    match Kernel::<blocks::Before<D>>::new(simd) {
        Some(kernel) => kernel.for_each_batch(text, monitor, consume),
        None => {
            let mut batch = Batch::new(consume);
            scalar::for_each::<D>(text, monitor, |pretoken| batch.push(pretoken))?;
            batch.finish();
            Ok(())
        }
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
