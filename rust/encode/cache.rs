//! Pretoken -> its ids, for those that come again and again.
//!
//! The table has a fixed size: memory does not follow the text, and a pretoken that falls on a taken
//! slot simply takes it over. Frequent pretokens soon have theirs back.

use super::TokenId;
use crate::count::Key;

/// Ids kept in a slot; pretokens of more, rare among those of at most 15 bytes, are merged anew.
const INLINE: usize = 4;

/// Marks the unused places of a slot; no vocabulary is that large.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: Key,
    ids: [u32; INLINE],
}

/// A direct-mapped table of slots of 32 bytes.
#[derive(Debug)]
pub struct Cache {
    slots: Box<[Slot]>,
}

impl Cache {
    /// A cache of `slots` slots, a power of two.
    pub fn new(slots: usize) -> Self {
        debug_assert!(slots.is_power_of_two());
        Self { slots: vec![Slot::default(); slots].into() }
    }

    /// Appends the ids of a pretoken, from the cache or from `merge`.
    #[inline]
    pub fn encode<'s, T: TokenId>(
        &mut self,
        pretoken: &[u8],
        ids: &mut Vec<T>,
        merge: impl FnOnce(&[u8]) -> &'s [u32],
    ) {
        let Some(key) = Key::pack(pretoken) else {
            ids.extend(merge(pretoken).iter().map(|&id| T::from_id(id)));
            return;
        };
        let at = key.hash() as usize & (self.slots.len() - 1);
        let slot = &mut self.slots[at];
        if slot.key == key {
            ids.extend(slot.ids.iter().take_while(|&&id| id != NONE).map(|&id| T::from_id(id)));
            return;
        }
        let merged = merge(pretoken);
        ids.extend(merged.iter().map(|&id| T::from_id(id)));
        if merged.len() <= INLINE {
            slot.key = key;
            slot.ids = [NONE; INLINE];
            slot.ids[..merged.len()].copy_from_slice(merged);
        }
    }
}
