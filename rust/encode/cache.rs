//! Pretoken -> its ids, for those that come again and again.
//!
//! The table has a fixed size: memory does not follow the text. A pretoken that falls on a taken slot
//! takes it over; who was there moves to the other slot of the cache line, and whoever was there is
//! forgotten. Frequent pretokens soon have their slots back.

use bytemuck::Zeroable;

use super::TokenId;
use crate::count::Key;
use crate::prefetch::prefetch;

/// Ids that a slot holds; where there are more, they are kept elsewhere ([`super::long`]). With ids of
/// two bytes a slot is 32 bytes, half of a cache line.
pub const INLINE: usize = 7;

#[derive(Clone, Copy, Debug, Zeroable)]
#[repr(C, align(32))]
struct Slot<T> {
    /// Nothing's in a free slot, which is all zeros.
    key: Key,
    ids: [T; INLINE],
    /// How many of the ids there are.
    len: u16,
}

/// A table of `SLOTS` slots, a power of two and at least two.
#[derive(Debug)]
pub struct Cache<T, const SLOTS: usize> {
    slots: Box<[Slot<T>; SLOTS]>,
}

impl<T: TokenId, const SLOTS: usize> Cache<T, SLOTS> {
    /// An empty cache.
    pub fn new() -> Self {
        const { assert!(SLOTS.is_power_of_two()) };
        Self { slots: bytemuck::zeroed_box() }
    }

    /// Where a pretoken belongs; asks for the memory there.
    #[inline(always)]
    pub fn prefetch(&self, key: Key) -> usize {
        let place = key.hash() as usize % SLOTS;
        prefetch(&*self.slots, place);
        place
    }

    /// The ids of a pretoken and how many they are, if they are here; those behind mean nothing.
    #[inline(always)]
    pub fn get(&self, place: usize, key: Key) -> Option<(&[T; INLINE], usize)> {
        let slot = &self.slots[place % SLOTS];
        (slot.key == key).then_some((&slot.ids, slot.len.into()))
    }

    /// As [`Cache::get`], for a pretoken that was pushed out of its slot: it moves back.
    pub fn recover(&mut self, place: usize, key: Key) -> Option<(&[T; INLINE], usize)> {
        let (place, other) = (place % SLOTS, (place ^ 1) % SLOTS);
        if self.slots[other].key != key {
            return None;
        }
        self.slots.swap(place, other);
        self.get(place, key)
    }

    /// Whether a pretoken is known to have more ids than a slot holds.
    pub fn has_many(&self, place: usize, key: Key) -> bool {
        self.slots[place % SLOTS].key == key.marked()
    }

    /// Keeps the ids of a pretoken, or that they are many: then its key is found by nobody who does not
    /// ask for that.
    pub fn put(&mut self, place: usize, key: Key, ids: &[u32]) {
        self.slots[(place ^ 1) % SLOTS] = self.slots[place % SLOTS];
        let slot = &mut self.slots[place % SLOTS];
        slot.key = if ids.len() <= INLINE { key } else { key.marked() };
        slot.len = ids.len() as u16;
        for (kept, &id) in slot.ids.iter_mut().zip(ids) {
            *kept = T::from_id(id);
        }
    }
}
