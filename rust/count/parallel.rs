//! Counting files on all processors, into shards that all workers share.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::{Counts, Key, SHARDS, Shard, Slot, long, shard_of};
use crate::chunk::{DEFAULT_PIECE_SIZE, Pieces};
use crate::piece::Piece;
use crate::prefetch::prefetch;
use crate::pretokenize::{MAX_BATCH, Pretokenizer};
use crate::source::DEFAULT_COLUMN;
use crate::special::{Segment, SpecialTokens};
use crate::{Monitor, Result, threads};

/// How files are counted; threads and pieces do not change the counts.
#[derive(Clone, Debug)]
pub struct CountOptions {
    /// Worker threads; `None` takes every processor that the process may use.
    pub num_threads: Option<usize>,
    /// Bytes read at a time.
    pub piece_size: usize,
    /// The key or column of JSON lines and Parquet that holds the text.
    pub column: String,
}

impl Default for CountOptions {
    fn default() -> Self {
        Self { num_threads: None, piece_size: DEFAULT_PIECE_SIZE, column: DEFAULT_COLUMN.into() }
    }
}

/// Counts the pretokens of inputs, whose documents are texts of their own, in memory that follows the
/// number of distinct pretokens. [`source`](crate::source) says what inputs can be.
///
/// # Errors
/// An input cannot be read, the pattern's engine gives up, or the monitor was cancelled.
pub fn count_files(
    inputs: &[PathBuf],
    pretokenizer: &Pretokenizer,
    special: &SpecialTokens,
    options: &CountOptions,
    monitor: &Monitor,
) -> Result<Counts> {
    let threads = threads::resolve(options.num_threads)?;
    let (column, size) = (&options.column, options.piece_size);
    let pieces = Pieces::open(inputs, column, pretokenizer, special, size, monitor.stop())?;
    monitor.start(pieces.total_bytes().unwrap_or(0));
    let shards: Vec<Mutex<Shard>> = (0..SHARDS).map(|_| Mutex::default()).collect();
    threads::run(threads, |failed| {
        let mut counter = Counter::new(&shards);
        let mut piece = Piece::default();
        while !failed() && pieces.next(&mut piece)?.is_some() {
            for part in piece.parts() {
                counter.count(part.text, pretokenizer, special, monitor)?;
            }
            monitor.advance(piece.progress());
        }
        counter.finish();
        Ok(())
    })?;
    let whole = |shard: Mutex<Shard>| shard.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Counts { shards: shards.into_iter().map(whole).collect() })
}

/// Adds the pretokens of one text.
///
/// # Errors
/// The pattern's engine gives up, or the monitor was cancelled.
pub fn count_text(
    text: &[u8],
    pretokenizer: &Pretokenizer,
    special: &SpecialTokens,
    counts: &mut Counts,
    monitor: &Monitor,
) -> Result<()> {
    for segment in special.split(text) {
        if let Segment::Text(text) = segment {
            pretokenizer.for_each(text, monitor, |pretoken| counts.add(pretoken, 1))?;
        }
    }
    Ok(())
}

/// Slots of a worker's own cache, a power of two: 768 KiB.
const FRONT: usize = 1 << 15;

/// Counts that a worker collects for a shard before it adds them.
const BATCH: usize = 64;

/// What one thread needs to count into shards that it shares with others.
///
/// A pretoken is looked for in a cache of the worker's own first, where nearly all occurrences are
/// counted. What it displaces there waits, in the batch of its shard, until the batch is full. Then the
/// shard is locked, once for all of them, and their places in memory are asked for before the first is
/// added.
struct Counter<'s> {
    shards: &'s [Mutex<Shard>],
    front: Box<[Slot; FRONT]>,
    waiting: Vec<Vec<Slot>>,
    /// Of the pretokens in hand: their keys, none for those that are too long.
    keys: Box<[Key; MAX_BATCH]>,
}

impl<'s> Counter<'s> {
    fn new(shards: &'s [Mutex<Shard>]) -> Self {
        Self {
            shards,
            front: bytemuck::zeroed_box(),
            waiting: shards.iter().map(|_| Vec::with_capacity(BATCH)).collect(),
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
            *key = Key::read(text, start, end).unwrap_or(Key::NONE);
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
        let table = &mut self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner).short;
        batch.iter().for_each(|slot| table.prefetch(slot.key.hash()));
        batch.drain(..).for_each(|slot| table.add(slot.key.hash(), slot));
    }

    #[cold]
    fn add_long(&self, pretoken: &[u8]) {
        let hash = long::hash(pretoken);
        let shard = self.shards[shard_of(hash)].lock();
        shard.unwrap_or_else(PoisonError::into_inner).long.add(hash, pretoken, 1);
    }

    /// Adds what is left to the shards.
    fn finish(mut self) {
        for at in 0..FRONT {
            self.hand_over(self.front[at]);
        }
        (0..self.shards.len()).for_each(|shard| self.flush(shard));
    }
}
