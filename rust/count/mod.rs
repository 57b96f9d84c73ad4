//! Pretokens -> how often each occurs: all that training needs to know of a text.

mod disk;
mod key;
mod levels;
mod long;
mod order;
mod parallel;
mod pruned;
mod store;
mod subset;
mod table;

use std::convert::Infallible;

pub use disk::{CountsFile, Sums, add_files};
pub use parallel::{CountOptions, count_files, count_texts};
pub use pruned::Pruned;

pub(crate) use key::Key;

use long::LongTable;
use order::InOrder;
use table::{Slot, Table};

/// Distinct pretokens with 64-bit counts.
///
/// Pretokens of up to 15 bytes, nearly all of them, are packed with their length into one key of 16
/// bytes; the others' bytes stand in one array. Both are shared out by their hashes to shards, each with
/// tables of its own: several threads can fill them at once, and a table of which little is used at a
/// time stays in the cache. Counts stop at 2^64 - 1.
#[derive(Clone, Debug)]
pub struct Counts {
    shards: Vec<Shard>,
    pruned: Option<Pruned>,
}

#[derive(Clone, Debug, Default)]
struct Shard {
    short: Table,
    long: LongTable,
}

impl Shard {
    fn memory(&self) -> usize {
        self.short.memory() + self.long.memory()
    }
}

/// A power of two.
const SHARDS: usize = 64;

/// The high bits of a hash choose the shard, the low ones the place in its table.
#[inline]
fn shard_of(hash: u64) -> usize {
    (hash >> (u64::BITS - SHARDS.trailing_zeros())) as usize
}

impl Default for Counts {
    fn default() -> Self {
        Self::new()
    }
}

impl Counts {
    /// No counts.
    #[must_use]
    pub fn new() -> Self {
        Self { shards: vec![Shard::default(); SHARDS], pruned: None }
    }

    /// Adds `count` occurrences of a pretoken. Nothing happens to an empty one or a count of 0.
    pub fn add(&mut self, pretoken: &[u8], count: u64) {
        if count == 0 || pretoken.is_empty() {
            return;
        }
        match Key::pack(pretoken) {
            Some(key) => {
                let hash = key.hash();
                self.shards[shard_of(hash)].short.add(hash, Slot { key, count });
            }
            None => {
                let hash = long::hash(pretoken);
                self.shards[shard_of(hash)].long.add(hash, pretoken, count);
            }
        }
    }

    /// Adds all of another's counts; what was left out of either was left out of the sums.
    pub fn merge(&mut self, other: &Self) {
        self.pruned = Pruned::sum(self.pruned, other.pruned);
        for (shard, more) in self.shards.iter_mut().zip(&other.shards) {
            more.short.iter().for_each(|slot| shard.short.add(slot.key.hash(), *slot));
            for (pretoken, count) in more.long.iter() {
                shard.long.add(long::hash(pretoken), pretoken, count);
            }
        }
    }

    /// As [`Counts::merge`], without a copy where there were no counts before.
    pub fn absorb(&mut self, other: Self) {
        if self.is_empty() {
            let pruned = Pruned::sum(self.pruned, other.pruned);
            *self = Self { pruned, ..other };
        } else {
            self.merge(&other);
        }
    }

    /// How many distinct pretokens there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.short.len() + shard.long.len()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sum of all counts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.sum(|_| 1)
    }

    /// The sum of all counts times the pretokens' lengths.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.sum(|pretoken| pretoken.len() as u64)
    }

    fn sum(&self, weight: impl Fn(&[u8]) -> u64) -> u64 {
        let mut sum = 0u64;
        self.for_each(|pretoken, count| {
            sum = sum.saturating_add(count.saturating_mul(weight(pretoken)));
        });
        sum
    }

    /// How often a pretoken occurs.
    #[must_use]
    pub fn get(&self, pretoken: &[u8]) -> u64 {
        match Key::pack(pretoken) {
            Some(key) => self.shards[shard_of(key.hash())].short.get(key),
            None => self.shards[shard_of(long::hash(pretoken))].long.get(pretoken),
        }
    }

    /// Calls `f` with each pretoken and its count, in no order.
    pub fn for_each(&self, mut f: impl FnMut(&[u8], u64)) {
        for shard in &self.shards {
            shard.short.iter().for_each(|slot| f(slot.key.unpack().as_ref(), slot.count));
            shard.long.iter().for_each(|(pretoken, count)| f(pretoken, count));
        }
    }

    /// Every pretoken and its count, in the order of the pretokens' bytes.
    #[must_use]
    pub fn sorted(&self) -> Vec<(Vec<u8>, u64)> {
        let mut all = Vec::with_capacity(self.len());
        let Ok(()) = self.in_order().for_each(|pretoken, count| {
            all.push((pretoken.to_vec(), count));
            Ok::<_, Infallible>(())
        });
        all
    }

    fn in_order(&self) -> InOrder<'_> {
        let mut short = Vec::with_capacity(self.shards.iter().map(|shard| shard.short.len()).sum());
        short.extend(self.shards.iter().flat_map(|shard| shard.short.iter()));
        InOrder::new(vec![short], self.shards.iter().flat_map(|shard| shard.long.iter()).collect())
    }

    /// Bytes of memory that the counts take.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.shards.iter().map(Shard::memory).sum()
    }

    /// What was left out for lack of memory, if anything was.
    #[must_use]
    pub fn pruned(&self) -> Option<Pruned> {
        self.pruned
    }
}

/// Bytes that counts of so many pretokens take: not less, unless their hashes are very uneven.
fn memory_of(short: u64, long: u64, long_bytes: u64) -> u64 {
    let shards = SHARDS as u64;
    // Shards are not equally full: four standard deviations more than the mean.
    let fullest = |pretokens: u64| {
        let mean = pretokens.div_ceil(shards);
        mean + 4 * (mean.isqrt() + 1)
    };
    let memory = Table::memory_of(fullest(short)) + LongTable::memory_of(fullest(long));
    // Bytes stand in a vector, which doubles.
    memory.saturating_mul(shards).saturating_add(long_bytes.saturating_mul(2))
}
