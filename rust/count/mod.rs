//! Pretokens -> how often each occurs: all that training needs to know of a text.

mod file;
mod key;
mod parallel;

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

pub use file::CountsFile;
pub use parallel::{CountOptions, count_files, count_text};

pub(crate) use key::Key;

/// Distinct pretokens with 64-bit counts.
///
/// Pretokens of up to 15 bytes, nearly all of them, are packed with their length into one 16-byte key
/// of an open-addressing table; the rest live in a map beside it. Counts stop at 2^64 - 1.
#[derive(Clone, Debug)]
pub struct Counts {
    /// A power of two of slots, at most half of them taken; a count of 0 marks a free one.
    slots: Vec<Slot>,
    taken: usize,
    long: HashMap<Box<[u8]>, u64, FxBuildHasher>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: Key,
    count: u64,
}

const FIRST_SLOTS: usize = 1 << 10;

impl Default for Counts {
    fn default() -> Self {
        Self::new()
    }
}

impl Counts {
    /// No counts.
    #[must_use]
    pub fn new() -> Self {
        Self { slots: vec![Slot::default(); FIRST_SLOTS], taken: 0, long: HashMap::default() }
    }

    /// Adds `count` occurrences of a pretoken. Nothing happens to an empty one or a count of 0.
    #[inline]
    pub fn add(&mut self, pretoken: &[u8], count: u64) {
        if count == 0 || pretoken.is_empty() {
            return;
        }
        match Key::pack(pretoken) {
            Some(key) => self.add_key(key, count),
            None => self.add_long(pretoken, count),
        }
    }

    #[inline]
    fn add_key(&mut self, key: Key, count: u64) {
        let mask = self.slots.len() - 1;
        let mut at = key.hash() as usize & mask;
        loop {
            let slot = &mut self.slots[at];
            if slot.key == key {
                slot.count = slot.count.saturating_add(count);
                return;
            }
            if slot.count == 0 {
                *slot = Slot { key, count };
                self.taken += 1;
                if self.taken * 2 > self.slots.len() {
                    self.grow();
                }
                return;
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![Slot::default(); self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, larger);
        let mask = self.slots.len() - 1;
        for slot in old.into_iter().filter(|slot| slot.count > 0) {
            let mut at = slot.key.hash() as usize & mask;
            while self.slots[at].count > 0 {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
    }

    fn add_long(&mut self, pretoken: &[u8], count: u64) {
        // Looked up first: nearly always it is there, and needs no copy.
        if let Some(known) = self.long.get_mut(pretoken) {
            *known = known.saturating_add(count);
        } else {
            self.long.insert(pretoken.into(), count);
        }
    }

    /// Adds all of another's counts.
    pub fn merge(&mut self, other: &Self) {
        other.slots.iter().filter(|s| s.count > 0).for_each(|s| self.add_key(s.key, s.count));
        other.long.iter().for_each(|(pretoken, &count)| self.add_long(pretoken, count));
    }

    /// How many distinct pretokens there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken + self.long.len()
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
        let Some(key) = Key::pack(pretoken) else {
            return self.long.get(pretoken).copied().unwrap_or(0);
        };
        let mask = self.slots.len() - 1;
        let mut at = key.hash() as usize & mask;
        loop {
            let slot = &self.slots[at];
            if slot.count == 0 || slot.key == key {
                return slot.count;
            }
            at = (at + 1) & mask;
        }
    }

    /// Calls `f` with each pretoken and its count, in no order.
    pub fn for_each(&self, mut f: impl FnMut(&[u8], u64)) {
        for slot in self.slots.iter().filter(|slot| slot.count > 0) {
            f(slot.key.unpack().as_ref(), slot.count);
        }
        for (pretoken, &count) in &self.long {
            f(pretoken, count);
        }
    }

    /// Every pretoken and its count, in the order of the pretokens' bytes.
    #[must_use]
    pub fn sorted(&self) -> Vec<(Vec<u8>, u64)> {
        let mut all = Vec::with_capacity(self.len());
        self.for_each(|pretoken, count| all.push((pretoken.to_vec(), count)));
        all.sort_unstable();
        all
    }
}
