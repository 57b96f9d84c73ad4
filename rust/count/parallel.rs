//! Counting on all processors, into shards that all workers share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::levels::MERGING;
use super::store::Store;
use super::{Counts, Key, SHARDS, Slot, long, shard_of};
use crate::chunk::{DEFAULT_PIECE_SIZE, Pieces};
use crate::piece::Piece;
use crate::prefetch::prefetch;
use crate::pretokenize::{MAX_BATCH, Pretokenizer};
use crate::source::{DEFAULT_COLUMN, Format};
use crate::special::{Segment, SpecialTokens};
use crate::{Error, Monitor, Result, threads};

/// How files are counted; threads and pieces do not change the counts, a memory limit only if it is too
/// low for all of them.
#[derive(Clone, Debug)]
pub struct CountOptions {
    /// Worker threads; `None` takes every processor that the process may use.
    pub num_threads: Option<usize>,
    /// Bytes read at a time.
    pub piece_size: usize,
    /// The key or column of JSON lines and Parquet that holds the text.
    pub column: String,
    /// What the inputs are, where their names do not say it.
    pub format: Option<Format>,
    /// Bytes of memory that counting may take. Counts that need more go to the folder for temporary
    /// files (`TMPDIR`) now and then and are added up in the end. Should the sums need more, the rarest
    /// are left out, and [`Counts::pruned`] says how many.
    pub memory_limit: Option<usize>,
}

impl Default for CountOptions {
    fn default() -> Self {
        let (piece_size, column) = (DEFAULT_PIECE_SIZE, DEFAULT_COLUMN.into());
        Self { num_threads: None, piece_size, column, format: None, memory_limit: None }
    }
}

impl CountOptions {
    /// The least memory limit for some number of threads: their own buffers, and a few counts.
    #[must_use]
    pub fn least_memory(&self, threads: usize) -> usize {
        let own = size_of::<[Slot; FRONT]>()
            + SHARDS * size_of::<[Slot; BATCH]>()
            + size_of::<[Key; MAX_BATCH]>();
        // A piece grows to hold its end, and what lies behind that is kept for the next.
        let worker = own.saturating_add(self.piece_size.saturating_mul(3));
        (MERGING + FEW_COUNTS).saturating_add(worker.saturating_mul(threads))
    }

    /// How many threads, and what the memory limit leaves for their counts.
    fn resolve(&self) -> Result<(usize, Option<usize>)> {
        let mut threads = threads::resolve(self.num_threads)?;
        let Some(limit) = self.memory_limit else { return Ok((threads, None)) };
        if self.num_threads.is_none() {
            // Nobody asked for so many that they leave less than half of it.
            while threads > 1 && self.least_memory(threads) > limit / 2 {
                threads -= 1;
            }
        }
        let least = self.least_memory(threads);
        let left = limit.checked_sub(least).ok_or_else(|| {
            Error::invalid(format!(
                "a memory limit of {limit} bytes is too low to count with {threads} thread(s): \
                 {least} is the least"
            ))
        })?;
        // As tables grow, the allocator is left with pieces that are too small for the next.
        Ok((threads, Some(left - left / 8 + FEW_COUNTS)))
    }
}

/// Counts the pretokens of inputs, whose documents are texts of their own, in memory that follows the
/// number of distinct pretokens, or stops at a limit. [`source`](crate::source) says what inputs can be.
///
/// # Errors
/// An input cannot be read, the pattern's engine gives up, the monitor was cancelled, the memory limit
/// is too low, or the disk refuses what does not fit.
pub fn count_files(
    inputs: &[PathBuf],
    pretokenizer: &Pretokenizer,
    special: &SpecialTokens,
    options: &CountOptions,
    monitor: &Monitor,
) -> Result<Counts> {
    let (threads, budget) = options.resolve()?;
    let (column, format, size) = (&options.column, options.format, options.piece_size);
    let stop = monitor.stop();
    let pieces = Pieces::open(inputs, column, format, pretokenizer, special, size, stop)?;
    monitor.start(pieces.total_bytes().unwrap_or(0));
    let store = Store::new(budget, monitor);
    threads::run(threads, |failed| {
        let mut counter = Counter::new(&store);
        let mut piece = Piece::default();
        while !failed() && pieces.next(&mut piece)?.is_some() {
            for part in piece.parts() {
                counter.count(part.text, pretokenizer, special, monitor)?;
            }
            store.check()?;
            monitor.advance(piece.progress());
        }
        counter.finish();
        Ok(())
    })?;
    store.finish()
}

/// Counts the pretokens of texts from memory.
///
/// # Errors
/// The pattern's engine gives up, or the monitor was cancelled.
pub fn count_texts<T: AsRef<[u8]> + Sync>(
    texts: &[T],
    pretokenizer: &Pretokenizer,
    special: &SpecialTokens,
    num_threads: Option<usize>,
    monitor: &Monitor,
) -> Result<Counts> {
    let threads = threads::resolve(num_threads)?.min(texts.len()).max(1);
    let (store, next) = (Store::new(None, monitor), AtomicUsize::new(0));
    threads::run(threads, |failed| {
        let mut counter = Counter::new(&store);
        while !failed()
            && let Some(text) = texts.get(next.fetch_add(1, Relaxed))
        {
            counter.count(text.as_ref(), pretokenizer, special, monitor)?;
        }
        counter.finish();
        Ok(())
    })?;
    store.finish()
}

/// Slots of a worker's own cache, a power of two: 768 KiB.
const FRONT: usize = 1 << 15;

/// Counts that a worker collects for a shard before it adds them.
const BATCH: usize = 64;

/// Bytes for counts, below which hardly any would fit.
const FEW_COUNTS: usize = 1 << 16;

/// What one thread needs to count into shards that it shares with others.
///
/// A pretoken is looked for in a cache of the worker's own first, where nearly all occurrences are
/// counted. What it displaces there waits, in the batch of its shard, until the batch is full. Then the
/// shard is locked, once for all of them, and their places in memory are asked for before the first is
/// added.
struct Counter<'s> {
    store: &'s Store<'s>,
    front: Box<[Slot; FRONT]>,
    waiting: Vec<Vec<Slot>>,
    /// Of the pretokens in hand: their keys, none for those that are too long.
    keys: Box<[Key; MAX_BATCH]>,
}

impl<'s> Counter<'s> {
    fn new(store: &'s Store<'s>) -> Self {
        Self {
            store,
            front: bytemuck::zeroed_box(),
            waiting: (0..SHARDS).map(|_| Vec::with_capacity(BATCH)).collect(),
            keys: bytemuck::zeroed_box(),
        }
    }

    /// Adds the pretokens of one text.
    fn count(
        &mut self,
        text: &[u8],
        pretokenizer: &Pretokenizer,
        special: &SpecialTokens,
        monitor: &Monitor,
    ) -> Result<()> {
        for segment in special.split(text) {
            if let Segment::Text(text) = segment {
                pretokenizer.for_each_batch(text, monitor, |start, ends| {
                    self.count_batch(text, start, ends);
                })?;
            }
        }
        Ok(())
    }

    fn count_batch(&mut self, text: &[u8], first: usize, ends: &[usize]) {
        let mut start = first;
        for (&end, key) in ends.iter().zip(&mut *self.keys) {
            *key = Key::read(text, start, end);
            prefetch(&*self.front, key.hash() as usize % FRONT);
            start = end;
        }
        start = first;
        for (at, &end) in ends.iter().enumerate().take(MAX_BATCH) {
            let key = self.keys[at];
            let slot = &mut self.front[key.hash() as usize % FRONT];
            if slot.key == key {
                slot.count += 1;
            } else if key == Key::NONE {
                self.add_long(&text[start..end]);
            } else {
                let displaced = std::mem::replace(slot, Slot { key, count: 1 });
                self.hand_over(displaced);
            }
            start = end;
        }
    }

    #[cold]
    fn hand_over(&mut self, slot: Slot) {
        if slot.count > 0 {
            let shard = shard_of(slot.key.hash());
            self.waiting[shard].push(slot);
            if self.waiting[shard].len() == BATCH {
                self.flush(shard);
            }
        }
    }

    fn flush(&mut self, shard: usize) {
        let batch = &mut self.waiting[shard];
        self.store.add(shard, |shard| {
            batch.iter().for_each(|slot| shard.short.prefetch(slot.key.hash()));
            batch.drain(..).for_each(|slot| shard.short.add(slot.key.hash(), slot));
        });
    }

    #[cold]
    fn add_long(&self, pretoken: &[u8]) {
        let hash = long::hash(pretoken);
        self.store.add(shard_of(hash), |shard| shard.long.add(hash, pretoken, 1));
    }

    /// Adds what is left to the shards.
    fn finish(mut self) {
        for at in 0..FRONT {
            self.hand_over(self.front[at]);
        }
        (0..SHARDS).for_each(|shard| self.flush(shard));
    }
}
