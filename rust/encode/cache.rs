//! Pretoken -> its ids, for those that come again and again.
//!
//! The table has a fixed size: memory does not follow the text, and a pretoken that falls on a taken
//! slot simply takes it over. Frequent pretokens soon have theirs back.

use super::TokenId;
use crate::count::Key;
use crate::prefetch::prefetch;

/// Ids that a slot holds; where there are more, they are kept elsewhere ([`super::long`]). With ids of two bytes a
/// slot is 32 bytes, half of a cache line.
pub const INLINE: usize = 7;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
struct Slot<T> {
    key: Key,
    ids: [T; INLINE],
    /// How many of the ids there are; 0 in a free slot.
    len: u8,
}

/// The length of ids that are too many for a slot.
const MANY: u8 = u8::MAX;

/// A direct-mapped table.
#[derive(Debug)]
pub struct Cache<T> {
    slots: Box<[Slot<T>]>,
}

impl<T: TokenId> Cache<T> {
    /// A cache of `slots` slots, a power of two.
    pub fn new(slots: usize) -> Self {
        debug_assert!(slots.is_power_of_two());
        let free = Slot { key: Key::default(), ids: [T::from_id(0); INLINE], len: 0 };
        Self { slots: vec![free; slots].into() }
    }

    /// Where a pretoken belongs; asks for the memory there.
    #[inline]
    pub fn place(&self, key: Key) -> usize {
        let place = key.hash() as usize & (self.slots.len() - 1);
        prefetch(&self.slots, place);
        place
    }

    /// The ids of a pretoken and how many they are, if they are here; those behind mean nothing.
    #[inline]
    pub fn get(&self, place: usize, key: Key) -> Option<(&[T; INLINE], usize)> {
        let slot = &self.slots[place];
        // A free slot has the key of no pretoken, which those have too that are too long for a key.
        let is_here = slot.key == key && (1..=INLINE).contains(&slot.len.into());
        is_here.then_some((&slot.ids, slot.len.into()))
    }

    /// Whether a pretoken is known to have more ids than a slot holds.
    pub fn has_many(&self, place: usize, key: Key) -> bool {
        let slot = &self.slots[place];
        slot.key == key && slot.len == MANY
    }

    /// Keeps the ids of a pretoken, or that they are many.
    pub fn put(&mut self, place: usize, key: Key, ids: &[u32]) {
        let slot = &mut self.slots[place];
        slot.key = key;
        slot.len = if ids.len() <= INLINE { ids.len() as u8 } else { MANY };
        for (kept, &id) in slot.ids.iter_mut().zip(ids) {
            *kept = T::from_id(id);
        }
    }
}
