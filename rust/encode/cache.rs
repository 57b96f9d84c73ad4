//! Pretoken -> its ids, for those that come again and again.
//!
//! The table has a fixed size, so that memory does not follow the text. A pretoken has a slot of its own,
//! whose memory can be asked for ahead, and takes it over when it is new; whoever was there moves to
//! another slot of the same group, nearby in memory. Merging a pretoken anew costs as much as dozens of
//! look-ups, so even few that are forgotten too early would cost more than all that are remembered.

use bytemuck::Zeroable;

use super::TokenId;
use crate::count::Key;
use crate::prefetch::prefetch;

/// Ids that a slot holds; where there are more, they are kept elsewhere ([`super::long`]). With ids of
/// two bytes a slot is 32 bytes, half of a cache line.
pub const INLINE: usize = 7;

/// What is copied of a slot: its ids, and behind them how many of them there are.
pub type Ids<T> = [T; INLINE + 1];

/// Slots of a group: so many that in a table a third full hardly any group is too small for those whose
/// own slots it has.
const GROUP: usize = 8;

/// How many pretokens have to be found outside their own slots until one moves to its own.
const PATIENCE: usize = 4;

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

/// The slots of a cache; where they are is known once for many pretokens.
#[derive(Clone, Copy, Debug)]
pub struct Slots<'c, T, const SLOTS: usize>(&'c [Slot<T>; SLOTS]);

impl<'c, T: TokenId, const SLOTS: usize> Slots<'c, T, SLOTS> {
    /// Which slot is that of the pretokens with a hash; asks for the memory there.
    #[inline(always)]
    pub fn prefetch(self, hash: u64) -> usize {
        let own = hash as usize % SLOTS;
        prefetch(self.0, own);
        own
    }

    /// 1 if a pretoken is in its own slot and 0 if not, and what is there.
    #[inline(always)]
    pub fn look(self, own: usize, key: Key) -> (usize, &'c Ids<T>, usize) {
        let slot = &self.0[own % SLOTS];
        (slot.key.is(key), &slot.ids, slot.len())
    }
}

/// What is known of a pretoken.
#[derive(Debug)]
pub enum Known {
    /// The slot that has its ids.
    At(usize),
    /// They are more than a slot holds.
    Many,
}

impl<T: TokenId, const SLOTS: usize> Cache<T, SLOTS> {
    /// An empty cache.
    pub fn new() -> Self {
        const { assert!(SLOTS.is_power_of_two() && SLOTS >= GROUP) };
        Self { slots: bytemuck::zeroed_box(), turn: 0 }
    }

    /// The slots, to look at.
    #[inline(always)]
    pub fn slots(&self) -> Slots<'_, T, SLOTS> {
        Slots(&self.slots)
    }

    /// The other slots of a group.
    fn others(own: usize) -> impl Iterator<Item = usize> {
        (1..GROUP).map(move |other| (own ^ other) % SLOTS)
    }

    /// Looks in the whole group for a pretoken. Now and then it then moves to its own slot, so that of
    /// those that share one the more frequent is mostly there.
    pub fn find(&mut self, own: usize, key: Key) -> Option<Known> {
        let own = own % SLOTS;
        if self.slots[own].key == key {
            return Some(Known::At(own));
        }
        let Some(other) = Self::others(own).find(|&other| self.slots[other].key == key) else {
            let is_marked = |slot: usize| self.slots[slot].key == key.marked();
            let is_known = is_marked(own) || Self::others(own).any(is_marked);
            return is_known.then_some(Known::Many);
        };
        self.turn += 1;
        if !self.turn.is_multiple_of(PATIENCE) {
            return Some(Known::At(other));
        }
        self.slots.swap(own, other);
        Some(Known::At(own))
    }

    /// The ids in a slot.
    pub fn ids(&self, slot: usize) -> &[T] {
        let slot = &self.slots[slot];
        &slot.ids[..slot.len()]
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
