//! What one thread needs to turn text into ids.

use bytemuck::Zeroable;

use super::TokenId;
use super::batch::Batch;
use super::cache::{Cache, INLINE, Ids, Known};
use super::lane;
use super::long::{self, LongCache};
use super::merge::Scratch;
use super::table::MergeTable;
use crate::count::Key;
use crate::pretokenize::{MAX_BATCH, Pretokenizer};
use crate::{Monitor, Result};

/// Bytes of long pretokens that are kept for each slot of the cache: a text has about as many distinct
/// ones as short ones in a quarter of the slots.
const LONG_BYTES: usize = 4;

/// The place of a pretoken that is kept in no cache.
const NOWHERE: u32 = u32::MAX;

/// Caches, and memory that merging needs again and again.
#[derive(Debug)]
pub struct Worker<T, const SLOTS: usize> {
    cache: Cache<T, SLOTS>,
    long: LongCache,
    scratch: Scratch,
    batch: Box<Batch>,
    /// The pretokens of the batch that are not in their places.
    missing: Box<[Missing; MAX_BATCH]>,
    /// Which of those are new.
    new: Box<[usize; MAX_BATCH]>,
    /// The ids of those that are missing.
    found: Vec<T>,
    /// Room for the ids of a text, lent to whoever has none of their own.
    pub room: Vec<T>,
}

/// A pretoken of a batch that is not in its own place in the cache.
#[derive(Clone, Copy, Debug, Zeroable)]
struct Missing {
    /// Which it is.
    at: u32,
    /// How many ids it has, once that is known.
    len: u32,
    /// Where in the output its ids belong, but for those of the ones before.
    place: usize,
}

/// Ids that are written one after the other, into room for as many as the text has bytes.
#[derive(Debug)]
pub struct Output<'i, T> {
    ids: &'i mut [T],
    len: usize,
}

impl<'i, T: TokenId> Output<'i, T> {
    /// Ids that room needs beyond the bytes of the text: a slot of the cache is copied as a whole.
    pub const SLACK: usize = size_of::<Ids<T>>() / size_of::<T>();

    /// Writes from the start of `room`.
    pub fn new(room: &'i mut [T]) -> Self {
        Self { ids: room, len: 0 }
    }

    /// How many ids were written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Appends one.
    pub fn push(&mut self, id: u32) {
        self.ids[self.len] = T::from_id(id);
        self.len += 1;
    }
}

impl<T: TokenId, const SLOTS: usize> Worker<T, SLOTS> {
    /// A worker with `SLOTS` slots in its cache, a power of two.
    pub fn new() -> Self {
        Self {
            cache: Cache::new(),
            long: LongCache::new(SLOTS * LONG_BYTES),
            scratch: Scratch::default(),
            batch: bytemuck::zeroed_box(),
            missing: bytemuck::zeroed_box(),
            new: bytemuck::zeroed_box(),
            found: Vec::new(),
            room: Vec::new(),
        }
    }

    /// Appends the ids of a text without special tokens.
    ///
    /// # Errors
    /// The monitor was cancelled, or the pattern's engine gives up on this text.
    pub fn encode(
        &mut self,
        table: &MergeTable,
        pretokenizer: &Pretokenizer,
        text: &[u8],
        monitor: &Monitor,
        output: &mut Output<'_, T>,
    ) -> Result<()> {
        pretokenizer.for_each_batch(text, monitor, |start, ends| {
            self.encode_batch(table, text, start, ends, monitor, output);
        })
    }

    /// Appends the ids of a batch of pretokens: their places in the cache are asked for before the first
    /// is looked at.
    fn encode_batch(
        &mut self,
        table: &MergeTable,
        text: &[u8],
        first: usize,
        ends: &[usize],
        monitor: &Monitor,
        output: &mut Output<'_, T>,
    ) {
        let Self { cache, batch, missing, .. } = self;
        let slots = cache.slots();
        batch.ask(slots, text, first, ends);
        let known = batch.write_known(slots, ends.len(), &mut output.ids[output.len..]);
        let mut count = 0;
        for ((at, position), missing) in batch.missing(ends.len()).zip(&mut **missing) {
            *missing = Missing { at: at as u32, len: 0, place: output.len + position };
            count += 1;
        }
        output.len += known;
        if count > 0 {
            self.fill_in(table, text, first, ends, count, monitor, output);
        }
    }

    /// Puts the ids of those pretokens of a batch that are not in their own places where they belong.
    #[cold]
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "all that a batch is")]
    fn fill_in(
        &mut self,
        table: &MergeTable,
        text: &[u8],
        first: usize,
        ends: &[usize],
        count: usize,
        monitor: &Monitor,
        output: &mut Output<'_, T>,
    ) {
        let pretoken = |at: usize| {
            let start = if at == 0 { first } else { ends[at - 1] };
            &text[start..ends[at]]
        };
        self.resolve(table, pretoken, count, monitor);
        self.gather(table, pretoken, count, monitor);
        // From behind, all that stands behind the ids of a pretoken makes room for them.
        let Self { missing, found, .. } = self;
        let (mut end, mut shift) = (output.len, found.len());
        output.len += shift;
        for &Missing { len, place, .. } in missing[..count].iter().rev() {
            output.ids.copy_within(place..end, place + shift);
            let behind = shift;
            shift -= len as usize;
            output.ids[place + shift..place + behind].copy_from_slice(&found[shift..behind]);
            end = place;
        }
    }

    /// Sees to it that the missing pretokens of a batch are in the caches.
    #[inline(always)]
    fn resolve<'t>(
        &mut self,
        table: &MergeTable,
        pretoken: impl Fn(usize) -> &'t [u8],
        count: usize,
        monitor: &Monitor,
    ) {
        let Self { cache, long, scratch, batch, new, .. } = self;
        let Batch { keys, places, .. } = &mut **batch;
        long.make_room();
        let mut jobs = 0;
        for &Missing { at, .. } in &self.missing[..count] {
            let at = at as usize;
            let key = keys[at];
            let known = if key == Key::NONE {
                Some(Known::Many)
            } else {
                cache.find(places[at] as usize, key)
            };
            match known {
                Some(Known::At(slot)) => {
                    places[at] = slot as u32;
                    continue;
                }
                Some(Known::Many) => {
                    let pretoken = pretoken(at);
                    if pretoken.len() > long::MAX_LEN {
                        places[at] = NOWHERE;
                        continue;
                    }
                    if let Some(entry) = long.find(pretoken) {
                        (keys[at], places[at]) = (Key::NONE, entry as u32);
                        continue;
                    }
                    if pretoken.len() > lane::MAX_LEN {
                        let ids = table.merge(pretoken, scratch, monitor);
                        places[at] = long.put(pretoken, ids) as u32;
                        continue;
                    }
                }
                None => {}
            }
            new[jobs % MAX_BATCH] = at;
            jobs += 1;
        }
        let jobs = new[..jobs].iter().map(|&at| (at, pretoken(at)));
        scratch.lanes.merge(table, jobs, |at, ids| {
            let (key, place) = (keys[at], places[at] as usize);
            if key != Key::NONE && cache.find(place, key).is_none() {
                cache.put(place, key, ids);
            }
            if key == Key::NONE || ids.len() > INLINE {
                (keys[at], places[at]) = (Key::NONE, long.put(pretoken(at), ids) as u32);
            }
        });
    }

    /// Puts the ids of the missing pretokens of a batch, which have been resolved, one behind the other.
    #[inline(always)]
    fn gather<'t>(
        &mut self,
        table: &MergeTable,
        pretoken: impl Fn(usize) -> &'t [u8],
        count: usize,
        monitor: &Monitor,
    ) {
        let Self { cache, long, scratch, batch, missing, found, .. } = self;
        let Batch { keys, places, .. } = &**batch;
        found.clear();
        for missing in &mut missing[..count] {
            let at = missing.at as usize;
            let (key, place, before) = (keys[at], places[at], found.len());
            if key == Key::NONE && place != NOWHERE {
                found.extend(long.ids(place as usize).iter().map(|&id| T::from_id(id)));
            } else if key != Key::NONE
                && let Some(Known::At(slot)) = cache.find(place as usize, key)
            {
                found.extend_from_slice(cache.ids(slot));
            } else {
                // Too long to be kept, or pushed out again by others of the batch.
                let ids = table.merge(pretoken(at), scratch, monitor);
                found.extend(ids.iter().map(|&id| T::from_id(id)));
            }
            missing.len = (found.len() - before) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::Counts;
    use crate::encode::slow::slow;
    use crate::train::{TieBreak, TrainOptions, train};
    use crate::vocab::Vocabulary;
    use proptest::prelude::*;

    fn vocabulary(words: &[String]) -> Vocabulary {
        let mut counts = Counts::new();
        words.iter().for_each(|word| counts.add(word.as_bytes(), 1));
        let (tie_break, special_tokens) = (TieBreak::Bytes, Vec::new());
        let options = TrainOptions { vocab_size: 300, special_tokens, tie_break, min_frequency: 1 };
        train(&counts, &options, &Monitor::new()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        /// So small a cache that pretokens of one batch push each other out; pretokens of all lengths,
        /// many of them the same.
        #[test]
        fn a_full_cache_changes_nothing(
            words in prop::collection::vec("[ab]{1,9}|[a-d]{1,40}|a{20,70}", 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..400),
        ) {
            let vocabulary = vocabulary(&words);
            let (table, gpt2) = (MergeTable::new(&vocabulary), Pretokenizer::new("gpt2").unwrap());
            let mut worker = Worker::<u16, 8>::new();
            for _ in 0..2 {
                let text: String = order.iter().map(|word| format!("{},", word.get(&words))).collect();
                let mut expected = Vec::new();
                for word in &order {
                    expected.extend(slow(&vocabulary, word.get(&words).as_bytes()));
                    expected.extend(slow(&vocabulary, b","));
                }
                let mut room = vec![0; text.len() + Output::<u16>::SLACK];
                let mut output = Output::new(&mut room);
                worker.encode(&table, &gpt2, text.as_bytes(), &Monitor::new(), &mut output).unwrap();
                let len = output.len();
                let found: Vec<_> = room[..len].iter().map(|&id| u32::from(id)).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
