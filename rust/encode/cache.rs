//! Pretoken -> its ids, for those that come again and again.
//!
//! The table has a fixed size, so that memory does not follow the text. A pretoken has a slot of its own,
//! whose memory can be asked for ahead, and takes it over; whoever was there moves to another slot of the
//! same group, nearby in memory. Merging a pretoken anew costs as much as dozens of look-ups, so even few
//! that are forgotten too early would cost more than all that are remembered.

use bytemuck::Zeroable;

use super::TokenId;
use crate::count::Key;
use crate::prefetch::prefetch;

/// Ids that a slot holds; where there are more, they are kept elsewhere ([`super::long`]). With ids of
/// two bytes a slot is 32 bytes, half of a cache line.
pub const INLINE: usize = 7;

/// What is copied of a slot: its ids, and behind them how many of them there are.
pub type Ids<T> = [T; INLINE + 1];

/// Slots of a group: two cache lines with ids of two bytes, which processors like to load together.
const GROUP: usize = 4;

#[derive(Clone, Copy, Debug, Zeroable)]
#[repr(C, align(32))]
struct Slot<T> {
    /// Nothing's in a free slot, which is all zeros.
    key: Key,
    ids: Ids<T>,
}

impl<T: TokenId> Slot<T> {
    /// How many of the ids mean something.
    #[inline(always)]
    fn len(&self) -> usize {
        self.ids[INLINE].id() as usize
    }
}

/// A table of `SLOTS` slots, a power of two and at least a group.
#[derive(Debug)]
pub struct Cache<T, const SLOTS: usize> {
    slots: Box<[Slot<T>; SLOTS]>,
    /// Counts, so that the slots of full groups are taken over in turns.
    turn: usize,
}

/// What is known of a pretoken.
#[derive(Debug)]
pub enum Known<'c, T> {
    /// The ids, and how many they are.
    Ids(&'c Ids<T>, usize),
    /// They are more than a slot holds.
    Many,
}

impl<T: TokenId, const SLOTS: usize> Cache<T, SLOTS> {
    /// An empty cache.
    pub fn new() -> Self {
        const { assert!(SLOTS.is_power_of_two() && SLOTS >= GROUP) };
        Self { slots: bytemuck::zeroed_box(), turn: 0 }
    }

    /// Which slot is a pretoken's own; asks for the memory there.
    #[inline(always)]
    pub fn prefetch(&self, key: Key) -> usize {
        let own = key.hash() as usize % SLOTS;
        prefetch(&*self.slots, own);
        own
    }

    /// Whether a pretoken is in its own slot, and what is there.
    #[inline(always)]
    pub fn look(&self, own: usize, key: Key) -> (bool, &Ids<T>, usize) {
        let slot = &self.slots[own % SLOTS];
        (slot.key.equals(key), &slot.ids, slot.len())
    }

    /// The other slots of a group.
    fn others(own: usize) -> impl Iterator<Item = usize> {
        (1..GROUP).map(move |other| (own ^ other) % SLOTS)
    }

    /// Looks in the whole group for a pretoken, and moves it to its own slot.
    pub fn find(&mut self, own: usize, key: Key) -> Option<Known<'_, T>> {
        let own = own % SLOTS;
        if self.slots[own].key != key {
            let Some(other) = Self::others(own).find(|&other| self.slots[other].key == key) else {
                let is_marked = |slot: usize| self.slots[slot].key == key.marked();
                let is_known = is_marked(own) || Self::others(own).any(is_marked);
                return is_known.then_some(Known::Many);
            };
            self.slots.swap(own, other);
        }
        let slot = &self.slots[own];
        Some(Known::Ids(&slot.ids, slot.len()))
    }

    /// Keeps the ids of a pretoken, or that they are many: then nobody finds its key who does not ask for
    /// that.
    pub fn put(&mut self, own: usize, key: Key, ids: &[u32]) {
        let own = own % SLOTS;
        if self.slots[own].len() > 0 {
            let free = Self::others(own).find(|&other| self.slots[other].len() == 0);
            self.turn += 1;
            let other = free.unwrap_or((own ^ (1 + self.turn % (GROUP - 1))) % SLOTS);
            self.slots[other] = self.slots[own];
        }
        let slot = &mut self.slots[own];
        slot.key = if ids.len() <= INLINE { key } else { key.marked() };
        slot.ids[INLINE] = T::from_id(ids.len() as u32);
        for (kept, &id) in slot.ids.iter_mut().zip(ids) {
            *kept = T::from_id(id);
        }
    }
}
