//! The order of the pretokens' bytes.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::table::Slot;

/// Lists of packed pretokens and one of long ones, each in order. No pretoken is in two lists.
pub struct InOrder<'c> {
    short: Vec<Vec<Slot>>,
    long: Vec<(&'c [u8], u64)>,
}

impl<'c> InOrder<'c> {
    /// Sorts the lists, each where it lies.
    pub fn new(mut short: Vec<Vec<Slot>>, mut long: Vec<(&'c [u8], u64)>) -> Self {
        for list in &mut short {
            list.sort_unstable_by_key(|slot| slot.key.in_order());
        }
        long.sort_unstable();
        Self { short, long }
    }

    /// Calls `f` with every pretoken and its count.
    pub fn for_each<E>(&self, mut f: impl FnMut(&[u8], u64) -> Result<(), E>) -> Result<(), E> {
        let mut long = self.long.iter().peekable();
        let mut heads: BinaryHeap<Head<'_>> =
            self.short.iter().filter_map(|list| Head::of(list)).collect();
        while let Some(mut head) = heads.peek_mut() {
            let (slot, rest) = (head.slot, head.rest);
            match Head::of(rest) {
                Some(next) => *head = next,
                None => drop(PeekMut::pop(head)),
            }
            let unpacked = slot.key.unpack();
            let short = unpacked.as_ref();
            while let Some((pretoken, count)) = long.next_if(|(pretoken, _)| *pretoken < short) {
                f(pretoken, *count)?;
            }
            f(short, slot.count)?;
        }
        long.try_for_each(|(pretoken, count)| f(pretoken, *count))
    }
}

/// The first of a list, and the others. The greatest head is the first in order: so the heap wants it.
struct Head<'s> {
    order: u128,
    slot: Slot,
    rest: &'s [Slot],
}

impl<'s> Head<'s> {
    fn of(list: &'s [Slot]) -> Option<Self> {
        let (&slot, rest) = list.split_first()?;
        Some(Self { order: slot.key.in_order(), slot, rest })
    }
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.order.cmp(&self.order)
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head<'_> {}
