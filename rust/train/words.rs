//! All distinct words in one array, in which tokens grow where they stand.
//!
//! A word starts as one cell for each of its tokens, and a separator follows it. Two cells of a token
//! hold its id: the first, where it begins, and the last, where the token behind it looks for it; the
//! lengths stand in a table by id. Merging two tokens writes three cells. Nothing moves, and a place
//! stays valid as long as the token that begins there.
//!
//! A place is known to be out of date from its cell alone: when a token becomes the right part of
//! another, its first cell is marked, or, if it was the only one, holds the id of the new token, whose
//! first cell is elsewhere and which therefore never had this place.
//!
//! Words stand in the order of their counts, so that a walk along ascending places meets ascending
//! runs of equal counts, and needs no count per word.

use super::symbol::Symbol;
use crate::count::Counts;
use crate::{Error, Monitor, Result};

/// The words of a text, as tokens.
#[derive(Debug)]
pub struct Words<S> {
    cells: Vec<S>,
    /// Per id: the cells that a token takes.
    lengths: Vec<u32>,
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

/// Where a walk along the words has come to.
#[derive(Debug, Default)]
pub struct Run(usize);

/// Smaller counts are sorted by counting them.
const SMALL: usize = 1 << 12;

impl<S: Symbol> Words<S> {
    /// Lays out the words of two bytes and more; ids are the bytes.
    ///
    /// # Errors
    /// More than 2^32 bytes of distinct words, counts so large that their sum may pass 2^63, or the
    /// monitor was cancelled.
    pub fn new(counts: &Counts, monitor: &Monitor) -> Result<Self> {
        // Cells of all words with the same small count, and the words with others.
        let mut cells_of = vec![0u64; SMALL];
        let mut large: Vec<(u64, Box<[u8]>)> = Vec::new();
        let (mut size, mut occurrences) = (1u64, 0u64);
        counts.for_each(|pretoken, count| {
            let length = pretoken.len() as u64;
            if length > 1 {
                size += length + 1;
                occurrences = occurrences.saturating_add(count.saturating_mul(length));
                match cells_of.get_mut(count as usize) {
                    Some(cells) => *cells += length + 1,
                    None => large.push((count, pretoken.into())),
                }
            }
        });
        if occurrences > i64::MAX as u64 {
            return Err(Error::invalid("the counts are too large: their pairs' may pass 2^63"));
        }
        if u32::try_from(size).is_err() {
            return Err(Error::invalid(format!(
                "the distinct pretokens have {size} bytes; 2^32 are the most that can be trained on"
            )));
        }
        monitor.check()?;
        large.sort_unstable_by_key(|(count, _)| std::cmp::Reverse(*count));
        let mut cells = vec![S::SEPARATOR; size as usize];
        let mut runs = Vec::new();
        let mut next = 1;
        for (count, word) in large {
            if runs.last().is_none_or(|&(_, last)| last != count) {
                runs.push((next as u32, count));
            }
            next = write(&mut cells, next, &word);
        }
        let mut next_of = vec![0; SMALL];
        for (count, &size) in cells_of.iter().enumerate().rev().filter(|(_, size)| **size > 0) {
            runs.push((next as u32, count as u64));
            next_of[count] = next;
            next += size as usize;
        }
        counts.for_each(|pretoken, count| {
            if pretoken.len() > 1
                && let Some(next) = next_of.get_mut(count as usize)
            {
                *next = write(&mut cells, *next, pretoken);
            }
        });
        monitor.check()?;
        Ok(Self { cells, lengths: vec![1; 256], runs })
    }

    /// Adds the next id, that of a token made of two others.
    pub fn push_token(&mut self, left: u32, right: u32) {
        self.lengths.push(self.lengths[left as usize] + self.lengths[right as usize]);
    }

    /// Takes out the words that are one token, and gives each token one cell. Places change.
    pub fn compact(&mut self) {
        let Self { cells, lengths, runs } = self;
        let (mut from, mut to) = (1, 1);
        let mut run = 0;
        while from < cells.len() {
            while run < runs.len() && runs[run].0 as usize <= from {
                runs[run].0 = to as u32;
                run += 1;
            }
            let start = to;
            while cells[from] != S::SEPARATOR {
                let cell = cells[from];
                cells[to] = cell;
                to += 1;
                from += lengths[cell.id() as usize] as usize;
            }
            from += 1;
            if to == start + 1 {
                to = start;
            } else {
                cells[to] = S::SEPARATOR;
                to += 1;
            }
        }
        cells.truncate(to);
        cells.shrink_to_fit();
        // Of runs that have become empty, the last one counts.
        runs.dedup_by(|next, run| {
            let is_empty = next.0 == run.0;
            if is_empty {
                *run = *next;
            }
            is_empty
        });
        lengths.fill(1);
    }

    /// Calls `f` with place, left id, right id and count of every two neighbours, by ascending place.
    /// To be called while every token has one cell.
    pub fn for_each_pair(&self, mut f: impl FnMut(u32, u32, u32, u64)) {
        let mut run = Run::default();
        for (place, cells) in (0u32..).zip(self.cells.windows(2)) {
            if cells[0] != S::SEPARATOR && cells[1] != S::SEPARATOR {
                f(place, cells[0].id(), cells[1].id(), self.count(place, &mut run));
            }
        }
    }

    /// How often the most frequent pair of bytes occurs. To be called before anything is merged.
    pub fn most_frequent_pair(&self) -> u64 {
        let mut counts = vec![0u64; 1 << 16];
        self.for_each_pair(|_, left, right, count| {
            counts[(left << 8 | right) as usize & 0xffff] += count;
        });
        counts.into_iter().max().unwrap_or(0)
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

    /// Asks for the memory around a place.
    #[inline]
    pub fn prefetch(&self, place: u32) {
        crate::prefetch::prefetch(&self.cells, place as usize);
    }

    /// Merges the pair at `place`, if it still stands there.
    #[inline]
    pub fn merge(&mut self, place: u32, left: u32, right: u32, product: u32) -> Option<Merged> {
        let cells = &mut self.cells;
        let at = place as usize;
        let middle = at + self.lengths[left as usize] as usize;
        if cells[at] != S::of(left) || cells[middle] != S::of(right) {
            return None;
        }
        let end = middle + self.lengths[right as usize] as usize;
        cells[middle] = S::INSIDE;
        cells[end - 1] = S::of(product);
        cells[at] = S::of(product);
        let left = Some(cells[at - 1]).filter(|&cell| cell != S::SEPARATOR);
        let right = Some(cells[end]).filter(|&cell| cell != S::SEPARATOR);
        Some(Merged {
            left: left.map(|cell| (cell.id(), place - self.lengths[cell.id() as usize])),
            right: right.map(Symbol::id),
        })
    }
}

/// Writes a word's bytes and returns where the next word begins, behind the separator.
fn write<S: Symbol>(cells: &mut [S], at: usize, word: &[u8]) -> usize {
    let end = at + word.len();
    for (cell, &byte) in cells[at..end].iter_mut().zip(word) {
        *cell = S::of(byte.into());
    }
    end + 1
}
