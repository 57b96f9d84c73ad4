//! The pairs that may still be merged: how often each occurs, and where.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

/// How often a pair occurs, and its places in ascending order; merges nearby do not clean up there.
#[derive(Debug, Default)]
pub struct Occurrences {
    pub count: u64,
    pub places: Vec<u32>,
}

/// Pairs that occur at least `floor` times.
///
/// A pair's count can only fall once both of its tokens exist: each is made everywhere at once, and
/// from then on neighbours only leave. So a pair below the floor stays there, and is forgotten.
#[derive(Debug)]
pub struct Pairs {
    floor: u64,
    pairs: HashMap<u64, Occurrences, FxBuildHasher>,
}

impl Pairs {
    /// None yet.
    pub fn new(floor: u64) -> Self {
        Self { floor, pairs: HashMap::default() }
    }

    /// How often a pair must occur to be known.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Adds a pair that occurs often enough.
    pub fn insert(&mut self, left: u32, right: u32, occurrences: Occurrences) {
        debug_assert!(occurrences.count >= self.floor);
        self.pairs.insert(key(left, right), occurrences);
    }

    /// How often a pair occurs; 0 below the floor.
    pub fn count(&self, left: u32, right: u32) -> u64 {
        self.pairs.get(&key(left, right)).map_or(0, |pair| pair.count)
    }

    /// All pairs: left, right, and how often, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, u64)> {
        self.pairs.iter().map(|(key, pair)| ((key >> 32) as u32, *key as u32, pair.count))
    }

    /// Takes occurrences of a pair away.
    pub fn subtract(&mut self, left: u32, right: u32, count: u64) {
        let key = key(left, right);
        if let Some(known) = self.pairs.get_mut(&key) {
            debug_assert!(known.count >= count);
            known.count = known.count.saturating_sub(count);
            if known.count < self.floor {
                self.pairs.remove(&key);
            }
        }
    }

    /// Takes a pair out, to merge it.
    pub fn take(&mut self, left: u32, right: u32) -> Occurrences {
        self.pairs.remove(&key(left, right)).unwrap_or_default()
    }
}

fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}
