//! The GPT-2 pattern from pretoken to pretoken, on any processor.

use super::contraction_len;
use crate::pretokenize::classes::{Class, Classes};
use crate::{Monitor, Result};

/// Bytes between two looks at the monitor.
const STRIDE: usize = 1 << 20;

/// Calls `emit` with each pretoken of `text` in order.
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
