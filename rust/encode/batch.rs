//! Pretokens that are looked up together.

use bytemuck::Zeroable;

use super::TokenId;
use super::cache::Slots;
use crate::count::Key;
use crate::pretokenize::MAX_BATCH;
#[cfg(target_arch = "x86_64")]
use crate::pretokenize::simd::Simd;

/// Pretokens that are looked at together, to see whether one is missing.
const EIGHT: usize = size_of::<u64>();

/// A batch of pretokens, and where the cache has their ids.
#[derive(Clone, Copy, Debug, Zeroable)]
pub struct Batch {
    /// [`Key::NONE`] for those that are too long.
    pub keys: [Key; MAX_BATCH],
    /// In the cache.
    pub places: [u32; MAX_BATCH],
    /// 1 for those that are in their places, 0 for others.
    are_known: [u8; MAX_BATCH],
    /// How many ids stand before those of a pretoken, but for those of missing ones.
    positions: [u32; MAX_BATCH],
}

impl Batch {
    /// Reads the pretokens that end at `ends`, the first of which starts at `first`, and asks for their
    /// places. All batches of a process are hashed in the same way, the fastest that the processor has.
    pub fn ask<T: TokenId, const SLOTS: usize>(
        &mut self,
        slots: Slots<'_, T, SLOTS>,
        text: &[u8],
        first: usize,
        ends: &[usize],
    ) {
        #[cfg(target_arch = "x86_64")]
        if Simd::get() != Simd::Scalar && is_x86_feature_detected!("aes") {
            // SAFETY: the processor has AES, as was just found out.
            return unsafe { self.ask_aes(slots, text, first, ends) };
        }
        self.ask_by(Key::hash, slots, text, first, ends);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "aes")]
    fn ask_aes<T: TokenId, const SLOTS: usize>(
        &mut self,
        slots: Slots<'_, T, SLOTS>,
        text: &[u8],
        first: usize,
        ends: &[usize],
    ) {
        self.ask_by(|key| key.hash_aes(), slots, text, first, ends);
    }

    #[inline(always)]
    fn ask_by<T: TokenId, const SLOTS: usize>(
        &mut self,
        hash: impl Fn(Key) -> u64,
        slots: Slots<'_, T, SLOTS>,
        text: &[u8],
        first: usize,
        ends: &[usize],
    ) {
        let mut start = first;
        for ((&end, key), place) in ends.iter().zip(&mut self.keys).zip(&mut self.places) {
            *key = Key::read(text, start, end);
            *place = slots.prefetch(hash(*key)) as u32;
            start = end;
        }
    }

    /// Writes the ids of those of the first `count` pretokens that are in their places one behind the
    /// other, and returns how many ids they are.
    #[inline(always)]
    pub fn write_known<T: TokenId, const SLOTS: usize>(
        &mut self,
        slots: Slots<'_, T, SLOTS>,
        count: usize,
        room: &mut [T],
    ) -> usize {
        let mut len = 0;
        let found = self.are_known[..count].iter_mut().zip(&mut self.positions);
        for ((&key, &place), (known, position)) in self.keys.iter().zip(&self.places).zip(found) {
            // No branch, for nobody could predict it: whatever stands in the pretoken's place is copied,
            // and overwritten if it is another's.
            let (is_known, ids, ids_len) = slots.look(place as usize, key);
            *known = is_known as u8;
            *position = len as u32;
            if let Some(room) = room[len..].first_chunk_mut() {
                *room = *ids;
            }
            len += ids_len & is_known.wrapping_neg();
        }
        self.are_known[count..count.next_multiple_of(EIGHT)].fill(1);
        len
    }

    /// Those of the first `count` pretokens that are not in their places, and their positions.
    #[inline(always)]
    pub fn missing(&self, count: usize) -> impl Iterator<Item = (usize, usize)> {
        let (eights, _) = self.are_known.as_chunks::<EIGHT>();
        let eights = eights.iter().enumerate().take(count.div_ceil(EIGHT));
        eights.flat_map(move |(eight, known)| {
            let mut missing = !u64::from_le_bytes(*known) & u64::from_le_bytes([1; EIGHT]);
            std::iter::from_fn(move || {
                let at = eight * EIGHT + missing.trailing_zeros() as usize / 8;
                let next = (missing != 0).then(|| (at, self.positions[at] as usize));
                missing &= missing.wrapping_sub(1);
                next
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::zeroed_box;
    use proptest::prelude::*;

    use super::*;
    use crate::encode::cache::Cache;

    proptest! {
        /// The cache holds what the batch before had; a text may end within sixteen bytes of a pretoken.
        #[test]
        fn what_is_in_its_place_is_written_and_the_rest_is_missing(
            words in prop::collection::vec("[ab]{1,3}|[a-z]{14,17}", 1..60),
            kept in prop::collection::vec(any::<bool>(), 60),
        ) {
            let text = words.concat();
            let ends: Vec<_> = words.iter().scan(0, |end, word| {
                *end += word.len();
                Some(*end)
            }).collect();
            let (mut batch, mut cache) = (zeroed_box::<Batch>(), Cache::<u16, 4096>::new());
            batch.ask(cache.slots(), text.as_bytes(), 0, &ends);
            for (at, word) in words.iter().enumerate() {
                prop_assert_eq!(batch.keys[at], Key::pack(word.as_bytes()).unwrap_or(Key::NONE));
                if kept[at] && word.len() < 16 {
                    let place = batch.places[at] as usize;
                    cache.put(place, batch.keys[at], &[word.len() as u32; 3][..1 + word.len() % 3]);
                }
            }
            let is_kept = |at: usize| {
                let slot = &batch.places[at];
                cache.slots().look(*slot as usize, batch.keys[at]).0 == 1
            };
            let known: Vec<_> = (0..words.len()).map(is_kept).collect();
            let mut room = [0; 300];
            let len = batch.write_known(cache.slots(), words.len(), &mut room);
            let (mut expected, mut missing) = (Vec::new(), Vec::new());
            for (at, word) in words.iter().enumerate() {
                match known[at] {
                    true => expected.extend(vec![word.len() as u16; 1 + word.len() % 3]),
                    false => missing.push((at, expected.len())),
                }
            }
            prop_assert_eq!(&room[..len], &expected);
            prop_assert_eq!(batch.missing(words.len()).collect::<Vec<_>>(), missing);
        }
    }
}
