//! The pattern of GPT-4o and its relatives: `cl100k.rs` with words that end where a capital follows a
//! small letter, and with contractions as parts of words.
//!
//! A word is `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+` or, where there is none,
//! `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`.

use super::categories::{Categories, CategoryTable};
use super::cl100k::{Dialect, contraction_len, run_end};

const CASELESS: Categories = Categories::CASELESS.or(Categories::MARK);
const UPPER: Categories = Categories::UPPER.or(CASELESS);
const LOWER: Categories = Categories::LOWER.or(CASELESS);

/// GPT-4o's.
#[derive(Debug, Default)]
pub(super) struct O200k;

impl Dialect for O200k {
    const WORD: Categories = UPPER.or(LOWER);
    const DIGITS: usize = 3;
    const CONTRACTIONS: bool = false;
    const SUFFIXES: bool = true;
    const CASES: bool = true;
    const SLASHES: bool = true;

    #[inline]
    fn word_end(table: &CategoryTable, text: &[u8], at: usize) -> usize {
        let end = word_end(table, text, at);
        match text.get(end) {
            Some(b'\'') => end + contraction_len(&text[end..]).unwrap_or(0),
            _ => end,
        }
    }
}

/// That of Mistral's tokenizers of this name: no contractions, and digits one by one.
#[derive(Debug, Default)]
pub(super) struct Tekken;

impl Dialect for Tekken {
    const WORD: Categories = UPPER.or(LOWER);
    const DIGITS: usize = 1;
    const CONTRACTIONS: bool = false;
    const CASES: bool = true;
    const SLASHES: bool = true;

    #[inline]
    fn word_end(table: &CategoryTable, text: &[u8], at: usize) -> usize {
        word_end(table, text, at)
    }
}

/// Where the word that starts at `at` ends.
#[inline]
fn word_end(table: &CategoryTable, text: &[u8], at: usize) -> usize {
    let (mut end, mut caseless) = (at, at);
    while end < text.len() {
        let (category, length) = table.at(text, end);
        if !UPPER.has(category) {
            if category == Categories::LOWER {
                return run_end(table, text, end + length, LOWER);
            }
            break;
        }
        end += length;
        if CASELESS.has(category) {
            caseless = end;
        }
    }
    // No small letter. What has no case can stand for one: capitals behind the last such character
    // are the next word. Without any, all are one.
    if caseless > at { caseless } else { end }
}
