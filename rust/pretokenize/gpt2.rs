//! The GPT-2 pattern, scanned by hand: no regular expression is run.
//!
//! `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` says: a contraction, or
//! a run of one class with at most one space before it, or whitespace, which leaves its last
//! character to what follows.

use super::classes::{Class, Classes};
use crate::{Monitor, Result};

/// Bytes between two looks at the monitor.
const STRIDE: usize = 1 << 20;

/// Calls `emit` with each pretoken of `text` in order; joined, they are the text.
///
/// # Errors
/// The monitor was cancelled.
#[inline]
pub fn for_each<'t>(
    text: &'t [u8],
    monitor: &Monitor,
    mut emit: impl FnMut(&'t [u8]),
) -> Result<()> {
    let classes = Classes::get();
    let mut rest = text;
    while !rest.is_empty() {
        monitor.check()?;
        let stop = rest.len().saturating_sub(STRIDE);
        while rest.len() > stop {
            let (pretoken, after) = rest.split_at(first_len(classes, rest));
            emit(pretoken);
            rest = after;
        }
    }
    Ok(())
}

/// Length of the pretoken at the start of `text`, which must not be empty.
#[inline]
fn first_len(classes: &Classes, text: &[u8]) -> usize {
    if text[0] == b'\''
        && let Some(length) = contraction_len(text)
    {
        return length;
    }
    let space = usize::from(text[0] == b' ' && text.len() > 1);
    let (class, length) = classes.first(&text[space..]);
    if class != Class::Space {
        return run_end(classes, text, space + length, class);
    }
    whitespace_len(classes, text)
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

/// Where the run of `class` that goes on at `at` ends.
#[inline]
fn run_end(classes: &Classes, text: &[u8], mut at: usize, class: Class) -> usize {
    while at < text.len() {
        if text[at] < 0x80 {
            if classes.of_ascii(text[at]) != class {
                break;
            }
            at += 1;
        } else {
            let (next, length) = classes.first(&text[at..]);
            if next != class {
                break;
            }
            at += length;
        }
    }
    at
}

/// Length of the whitespace at the start of `text`, its last character left out if something else
/// follows and it is not the only one.
fn whitespace_len(classes: &Classes, text: &[u8]) -> usize {
    let (mut at, mut last) = (0, 0);
    while at < text.len() {
        let (class, length) = classes.first(&text[at..]);
        if class != Class::Space {
            return if last == 0 { at } else { last };
        }
        last = at;
        at += length;
    }
    at
}

/// Whether `text` can be cut at `at`, with at least one character on both sides and no other
/// knowledge, so that both parts split on their own as they do together.
///
/// Three places will do, and every text of any script has them:
/// before a space between two other characters (`x| y`), for a word takes one space with it;
/// after other whitespace that stands alone (`x\n|y`), for it is a pretoken by itself;
/// and between two classes (`x|,`), unless an apostrophe might begin a contraction there.
pub(super) fn is_cut(text: &[u8], at: usize) -> bool {
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
