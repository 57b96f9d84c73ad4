//! All distinct words in one array, in which tokens grow where they stand.
//!
//! A word takes one cell a byte, and a separator follows it. A token's id stands in the cell of its
//! first byte, so the token behind it is found by its length. The cell of its last byte, if that is
//! another, holds the length, so the token before the next one is found too. Merging rewrites three
//! cells; nothing moves, and places stay valid as long as their token does.
//!
//! Words stand in the order of their counts, so that a walk along ascending places meets ascending
//! runs of equal counts, and needs no count per word.

use crate::count::Counts;
use crate::{Error, Monitor, Result};

/// Between words, and before the first.
const SEPARATOR: u32 = (1 << 31) - 1;
/// The first byte of a token that has become the right part of another.
const INSIDE: u32 = SEPARATOR - 1;
/// Marks the last byte of a token of several bytes; the other bits are its length.
const TAIL: u32 = 1 << 31;
/// Ids are smaller than the marks.
pub const MAX_IDS: usize = INSIDE as usize;

/// The words of a text, as tokens.
#[derive(Debug)]
pub struct Words {
    cells: Vec<u32>,
    /// First place and count of each run of words with equal counts, ascending by place.
    runs: Vec<(u32, u64)>,
}

/// A pair that was merged, and what stands on both sides.
#[derive(Clone, Copy, Debug)]
pub struct Merged {
    /// Id and place of the token on the left, if there is one in the word.
    pub left: Option<(u32, u32)>,
    /// Id of the token on the right, if there is one in the word.
    pub right: Option<u32>,
}

/// Two tokens and their lengths in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Id of the left one.
    pub left: u32,
    /// Id of the right one.
    pub right: u32,
    /// Bytes of the left one.
    pub left_len: u32,
    /// Bytes of the right one.
    pub right_len: u32,
}

impl Words {
    /// Lays out the words of two bytes and more; ids are the bytes.
    ///
    /// # Errors
    /// More than 2^32 bytes of distinct words, counts so large that their sum may pass 2^63, or the
    /// monitor was cancelled.
    pub fn new(counts: &Counts, monitor: &Monitor) -> Result<Self> {
        struct Word {
            start: usize,
            len: usize,
            count: u64,
        }
        let mut bytes: Vec<u8> = Vec::new();
        let mut words: Vec<Word> = Vec::with_capacity(counts.len());
        let mut occurrences = 0u64;
        counts.for_each(|pretoken, count| {
            if pretoken.len() > 1 {
                let (start, len) = (bytes.len(), pretoken.len());
                words.push(Word { start, len, count });
                bytes.extend_from_slice(pretoken);
                occurrences = occurrences.saturating_add(count.saturating_mul(len as u64));
            }
        });
        if occurrences > i64::MAX as u64 {
            return Err(Error::invalid("the counts are too large: their pairs' may pass 2^63"));
        }
        monitor.check()?;
        let slice = |word: &Word| &bytes[word.start..word.start + word.len];
        words.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| slice(a).cmp(slice(b))));
        monitor.check()?;
        let size = bytes.len() + words.len() + 1;
        if u32::try_from(size).is_err() {
            return Err(Error::invalid(format!(
                "the distinct pretokens have {} bytes; 2^32 are the most that can be trained on",
                bytes.len()
            )));
        }
        let mut cells = Vec::with_capacity(size);
        let mut runs: Vec<(u32, u64)> = Vec::new();
        cells.push(SEPARATOR);
        for word in &words {
            if runs.last().is_none_or(|&(_, count)| count != word.count) {
                runs.push((cells.len() as u32, word.count));
            }
            cells.extend(slice(word).iter().map(|&byte| u32::from(byte)));
            cells.push(SEPARATOR);
        }
        Ok(Self { cells, runs })
    }

    /// Calls `f` with place, left byte, right byte and count of every adjacent pair of bytes, by
    /// ascending place. To be called before anything is merged.
    pub fn for_each_pair(&self, mut f: impl FnMut(u32, u8, u8, u64)) {
        let mut run = Run::default();
        for (place, cells) in (0u32..).zip(self.cells.windows(2)) {
            if cells[0] < 256 && cells[1] < 256 {
                f(place, cells[0] as u8, cells[1] as u8, self.count(place, &mut run));
            }
        }
    }

    /// The count of the word around `place`, for a walk along ascending places: `run` remembers where
    /// it has come to.
    #[inline]
    pub fn count(&self, place: u32, run: &mut Run) -> u64 {
        let begun = |run: usize| self.runs.get(run).is_some_and(|&(start, _)| start <= place);
        if begun(run.0 + 1) {
            run.0 += 1;
            if begun(run.0 + 1) {
                let rest = &self.runs[run.0..];
                run.0 += rest.partition_point(|&(start, _)| start <= place) - 1;
            }
        }
        self.runs[run.0].1
    }

    /// Merges the pair at `place`, if it still stands there.
    #[inline]
    pub fn merge(&mut self, place: u32, pair: Pair, product: u32) -> Option<Merged> {
        let cells = &mut self.cells;
        let at = place as usize;
        let middle = at + pair.left_len as usize;
        if cells[at] != pair.left || cells[middle] != pair.right {
            return None;
        }
        let length = pair.left_len + pair.right_len;
        let end = at + length as usize;
        cells[middle] = INSIDE;
        cells[end - 1] = TAIL | length;
        cells[at] = product;
        let left = match cells[at - 1] {
            SEPARATOR => None,
            tail if tail & TAIL != 0 => {
                let start = at - (tail & !TAIL) as usize;
                Some((cells[start], start as u32))
            }
            byte => Some((byte, place - 1)),
        };
        let right = Some(cells[end]).filter(|&id| id != SEPARATOR);
        Some(Merged { left, right })
    }
}

/// Where a walk along the words has come to.
#[derive(Debug, Default)]
pub struct Run(usize);
