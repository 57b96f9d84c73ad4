//! Packed pretokens and their counts, by open addressing.

use bytemuck::Zeroable;

use super::Key;
use crate::prefetch::prefetch;

/// A pretoken and its count; a count of 0 marks a free place.
#[derive(Clone, Copy, Debug, Default, Zeroable)]
pub struct Slot {
    pub key: Key,
    pub count: u64,
}

/// A power of two of slots, at most three quarters of them taken.
#[derive(Clone, Debug)]
pub struct Table {
    slots: Vec<Slot>,
    taken: usize,
}

const FIRST_SLOTS: usize = 16;

impl Default for Table {
    fn default() -> Self {
        Self { slots: vec![Slot::default(); FIRST_SLOTS], taken: 0 }
    }
}

impl Table {
    /// Adds to the count of the pretoken whose hash is given; not 0.
    #[inline]
    pub fn add(&mut self, hash: u64, Slot { key, count }: Slot) {
        let slot = Self::find(&mut self.slots, hash, key);
        slot.key = key;
        if slot.count == 0 {
            self.taken += 1;
        }
        slot.count = slot.count.saturating_add(count);
        if self.taken * 4 > self.slots.len() * 3 {
            self.grow();
        }
    }

    /// Asks for the memory that [`Table::add`] will need.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        prefetch(&self.slots, hash as usize & (self.slots.len() - 1));
    }

    /// The slot of a key, or the free one where it belongs.
    #[inline]
    fn find(slots: &mut [Slot], hash: u64, key: Key) -> &mut Slot {
        let mask = slots.len() - 1;
        let mut at = hash as usize & mask;
        while slots[at].count != 0 && slots[at].key != key {
            at = (at + 1) & mask;
        }
        &mut slots[at]
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = vec![Slot::default(); self.slots.len() * 2];
        for slot in self.iter() {
            *Self::find(&mut larger, slot.key.hash(), slot.key) = *slot;
        }
        self.slots = larger;
    }

    /// The count of a pretoken.
    pub fn get(&self, key: Key) -> u64 {
        let mask = self.slots.len() - 1;
        let mut at = key.hash() as usize & mask;
        while self.slots[at].count != 0 && self.slots[at].key != key {
            at = (at + 1) & mask;
        }
        self.slots[at].count
    }

    /// How many pretokens there are.
    pub fn len(&self) -> usize {
        self.taken
    }

    /// All pretokens, in no order, in the table's own memory.
    pub fn into_slots(self) -> Vec<Slot> {
        let mut slots = self.slots;
        slots.retain(|slot| slot.count != 0);
        slots
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        size_of_val(&*self.slots)
    }

    /// Bytes that a table of so many pretokens takes.
    pub fn memory_of(pretokens: u64) -> u64 {
        let slots = pretokens.saturating_mul(4).div_ceil(3).next_power_of_two();
        slots.max(FIRST_SLOTS as u64).saturating_mul(size_of::<Slot>() as u64)
    }

    /// All pretokens, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.count != 0)
    }
}
