//! The GPT-2 pattern, scanned by hand: no regular expression is run.
//!
//! `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` says: a contraction, or
//! a run of one class with at most one space before it, or whitespace, which leaves its last
//! character to what follows. [`blocks`] finds the starts of all pretokens in 64 bytes at a time,
//! where the processor has wide registers; [`scalar`] goes from pretoken to pretoken.

mod blocks;
mod scalar;

use super::batch::Batch;
use super::blocks::Kernel;
use super::classes::{Class, Classes};
use super::simd::Simd;
use crate::{Monitor, Result};

/// Hands over the pretokens of `text` in order and in batches, by a way of scanning that this processor
/// can run; see [`super::Pretokenizer::for_each_batch`].
///
/// # Errors
/// The monitor was cancelled.
#[inline]
pub fn for_each_batch(
    text: &[u8],
    simd: Simd,
    monitor: &Monitor,
    consume: impl FnMut(usize, &[usize]),
) -> Result<()> {
    match Kernel::<blocks::Before>::new(simd) {
        Some(kernel) => kernel.for_each_batch(text, monitor, consume),
        None => {
            let mut batch = Batch::new(consume);
            scalar::for_each(text, monitor, |pretoken| batch.push(pretoken))?;
            batch.finish();
            Ok(())
        }
    }
}

/// Length of the contraction at the start of `text`, which begins with an apostrophe.
#[inline]
fn contraction_len(text: &[u8]) -> Option<usize> {
    match text.get(1)? {
        b's' | b'd' | b'm' | b't' => Some(2),
        b'l' if text.get(2) == Some(&b'l') => Some(3),
        b'v' | b'r' if text.get(2) == Some(&b'e') => Some(3),
        _ => None,
    }
}

/// Whether `text` can be cut at `at`, with at least one character on both sides and no other
/// knowledge, so that both parts split on their own as they do together.
///
/// Three places will do, and every text of any script has them:
/// before a space between two other characters (`x| y`), for a word takes one space with it;
/// after other whitespace that stands alone (`x\n|y`), for it is a pretoken by itself;
/// and between two classes (`x|,`), unless an apostrophe might begin a contraction there.
pub(in crate::pretokenize) fn is_cut(text: &[u8], at: usize) -> bool {
    let classes = Classes::get();
    let (before, after) = text.split_at(at);
    if before.is_empty() || after.is_empty() {
        return false;
    }
    let (left, left_len) = classes.last(before);
    let (right, right_len) = classes.first(after);
    match (left, right) {
        (Class::Space, Class::Space) => false,
        (_, Class::Space) => {
            let rest = &after[right_len..];
            after[0] == b' ' && !rest.is_empty() && classes.first(rest).0 != Class::Space
        }
        (Class::Space, _) => {
            let rest = &before[..before.len() - left_len];
            before.last() != Some(&b' ') && !rest.is_empty() && classes.last(rest).0 != Class::Space
        }
        _ => left != right && before.last() != Some(&b'\''),
    }
}
