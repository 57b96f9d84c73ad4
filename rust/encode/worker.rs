//! What one thread needs to turn text into ids.

use std::ops::Range;

use bytemuck::Zeroable;

use super::TokenId;
use super::cache::{Cache, INLINE, Known};
use super::lane;
use super::long::{self, LongCache};
use super::merge::Scratch;
use super::table::MergeTable;
use crate::count::Key;
use crate::pretokenize::{MAX_BATCH, Pretokenizer};
use crate::{Monitor, Result};

/// Caches, and memory that merging needs again and again.
#[derive(Debug)]
pub struct Worker<T, const SLOTS: usize> {
    cache: Cache<T, SLOTS>,
    long: LongCache,
    scratch: Scratch,
    /// Of the pretokens of a batch: their keys, none for those that are too long, and their places in
    /// the cache.
    keys: Box<[Key; MAX_BATCH]>,
    places: Box<[u32; MAX_BATCH]>,
    /// Which of them are not in their places.
    missing: Box<[Missing; MAX_BATCH]>,
    /// Which of those are new.
    new: Box<[usize; MAX_BATCH]>,
    /// Room for the ids of a text, lent to whoever has none of their own.
    pub room: Vec<T>,
}

/// A pretoken of a batch that is not in its own place in the cache, and where there is room for its ids: as
/// much as it has bytes, and at least as much as is copied from a slot.
#[derive(Clone, Copy, Debug, Zeroable)]
struct Missing {
    at: usize,
    room: usize,
}

/// Ids that are written one after the other, into room for as many as the text has bytes.
#[derive(Debug)]
pub struct Output<'i, T> {
    ids: &'i mut [T],
    len: usize,
}

impl<'i, T: TokenId> Output<'i, T> {
    /// Ids that room needs beyond the bytes of the text: a slot of the cache is copied as a whole, and
    /// room as large is kept for each pretoken of a batch whose ids are not known yet.
    pub const SLACK: usize = INLINE * (MAX_BATCH + 1);

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

    fn extend(&mut self, ids: &[u32]) {
        for (room, &id) in self.ids[self.len..].iter_mut().zip(ids) {
            *room = T::from_id(id);
        }
        self.len += ids.len();
    }

    /// Writes ids behind the end and moves it by `len`, which may be another number.
    #[inline(always)]
    fn extend_inline(&mut self, ids: &[T; INLINE], len: usize) {
        if let Some(room) = self.ids[self.len..].first_chunk_mut() {
            *room = *ids;
        }
        self.len += len;
    }

    /// Appends ids that stand further behind.
    fn move_here(&mut self, ids: Range<usize>) {
        let len = ids.len();
        self.ids.copy_within(ids, self.len);
        self.len += len;
    }
}

impl<T: TokenId, const SLOTS: usize> Worker<T, SLOTS> {
    /// A worker with `SLOTS` slots in its cache, a power of two.
    pub fn new() -> Self {
        Self {
            cache: Cache::new(),
            long: LongCache::default(),
            scratch: Scratch::default(),
            keys: bytemuck::zeroed_box(),
            places: bytemuck::zeroed_box(),
            missing: bytemuck::zeroed_box(),
            new: bytemuck::zeroed_box(),
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
        let Self { cache, keys, places, missing, .. } = self;
        let (room, mut len, mut count) = (&mut *output.ids, output.len, 0);
        let mut start = first;
        for ((&end, key), place) in ends.iter().zip(&mut **keys).zip(&mut **places) {
            *key = Key::read(text, start, end).unwrap_or(Key::NONE);
            *place = cache.prefetch(*key) as u32;
            start = end;
        }
        start = first;
        for (at, ((&end, &key), &place)) in ends.iter().zip(&**keys).zip(&**places).enumerate() {
            // No branch, for nobody could predict it: whatever stands in the pretoken's place is copied,
            // and if that is another's, there will be room for its own.
            let (is_known, ids, known_len) = cache.look(place as usize, key);
            missing[count % MAX_BATCH] = Missing { at, room: len };
            count += usize::from(!is_known);
            if let Some(room) = room[len..].first_chunk_mut() {
                *room = *ids;
            }
            len += if is_known { known_len } else { (end - start).max(INLINE) };
            start = end;
        }
        output.len = len;
        if count > 0 {
            self.fill_in(table, text, first, ends, count, monitor, output);
        }
    }

    /// Puts the ids of those pretokens of a batch that are not in their own places where they belong,
    /// and closes the gaps.
    #[cold]
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "all that a batch is")]
    fn fill_in(
        &mut self,
        table: &MergeTable,
        text: &[u8],
        first: usize,
        ends: &[usize],
        missing: usize,
        monitor: &Monitor,
        output: &mut Output<'_, T>,
    ) {
        let pretoken = |at: usize| {
            let start = if at == 0 { first } else { ends[at - 1] };
            &text[start..ends[at]]
        };
        self.resolve(table, pretoken, missing, monitor);
        let end = output.len;
        output.len = self.missing[0].room;
        for index in 0..missing {
            let Missing { at, room } = self.missing[index];
            let pretoken = pretoken(at);
            let known = room + pretoken.len().max(INLINE);
            let next = if index + 1 < missing { self.missing[index + 1].room } else { end };
            self.append_resolved(table, pretoken, at, monitor, output);
            output.move_here(known..next);
        }
    }

    /// Sees to it that the missing pretokens of a batch are in the caches.
    #[inline(always)]
    fn resolve<'t>(
        &mut self,
        table: &MergeTable,
        pretoken: impl Fn(usize) -> &'t [u8],
        missing: usize,
        monitor: &Monitor,
    ) {
        let Self { cache, long, scratch, keys, places, new, .. } = self;
        long.make_room();
        let mut count = 0;
        for &Missing { at, .. } in &self.missing[..missing] {
            let key = keys[at];
            let known = if key == Key::NONE { Some(Known::Many) } else { cache.find(places[at] as usize, key) };
            match known {
                Some(Known::Ids(..)) => continue,
                Some(Known::Many) => {
                    let pretoken = pretoken(at);
                    if pretoken.len() > long::MAX_LEN {
                        places[at] = u32::MAX;
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
            new[count % MAX_BATCH] = at;
            count += 1;
        }
        let jobs = new[..count].iter().map(|&at| (at, pretoken(at)));
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

    /// Appends the ids of a pretoken that has been resolved.
    #[inline(always)]
    fn append_resolved(
        &mut self,
        table: &MergeTable,
        pretoken: &[u8],
        at: usize,
        monitor: &Monitor,
        output: &mut Output<'_, T>,
    ) {
        let (key, place) = (self.keys[at], self.places[at] as usize);
        if key == Key::NONE && place != u32::MAX as usize {
            return output.extend(self.long.ids(place));
        }
        if key != Key::NONE && let Some(Known::Ids(ids, len)) = self.cache.find(place, key) {
            return output.extend_inline(ids, len);
        }
        // Too long to be kept, or pushed out again by others of the batch.
        output.extend(table.merge(pretoken, &mut self.scratch, monitor));
    }
}
