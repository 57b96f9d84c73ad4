//! The order of the pretokens' bytes.

use super::table::Slot;

/// Packed pretokens and long ones, each in order.
pub struct InOrder<'c> {
    short: Vec<Slot>,
    long: Vec<(&'c [u8], u64)>,
}

impl<'c> InOrder<'c> {
    /// Sorts.
    pub fn new(mut short: Vec<Slot>, mut long: Vec<(&'c [u8], u64)>) -> Self {
        short.sort_unstable_by_key(|slot| slot.key.in_order());
        long.sort_unstable();
        Self { short, long }
    }

    /// Calls `f` with every pretoken and its count.
    pub fn for_each<E>(&self, mut f: impl FnMut(&[u8], u64) -> Result<(), E>) -> Result<(), E> {
        let mut long = self.long.iter().peekable();
        for slot in &self.short {
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
