//! What one thread needs to turn text into ids.

use super::TokenId;
use super::cache::{Cache, INLINE, Known};
use super::long::LongCache;
use super::merge::{MergeTable, Scratch};
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
    places: Box<[usize; MAX_BATCH]>,
    /// Room for the ids of a text, lent to whoever has none of their own.
    pub room: Vec<T>,
}

/// Ids that are written one after the other, into room for as many as the text has bytes.
#[derive(Debug)]
pub struct Output<'i, T> {
    ids: &'i mut [T],
    len: usize,
}

impl<'i, T: TokenId> Output<'i, T> {
    /// Ids that room needs beyond the bytes of the text: a slot of the cache is copied as a whole.
    pub const SLACK: usize = INLINE;

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

    /// Appends the first `len` of some ids, by copying all.
    #[inline]
    fn extend_inline(&mut self, ids: &[T; INLINE], len: usize) {
        match self.ids[self.len..].first_chunk_mut() {
            Some(room) => *room = *ids,
            None => self.ids[self.len..][..len].copy_from_slice(&ids[..len]),
        }
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
        let mut start = first;
        for ((&end, key), place) in ends.iter().zip(&mut *self.keys).zip(&mut *self.places) {
            *key = Key::read(text, start, end).unwrap_or(Key::NONE);
            *place = self.cache.prefetch(*key);
            start = end;
        }
        start = first;
        for (at, &end) in ends.iter().enumerate().take(MAX_BATCH) {
            let (key, place) = (self.keys[at], self.places[at]);
            match self.cache.get(place, key) {
                Some((ids, len)) => output.extend_inline(ids, len),
                None => self.encode_miss(table, &text[start..end], key, place, monitor, output),
            }
            start = end;
        }
    }

    #[cold]
    fn encode_miss(
        &mut self,
        table: &MergeTable,
        pretoken: &[u8],
        key: Key,
        place: usize,
        monitor: &Monitor,
        output: &mut Output<'_, T>,
    ) {
        let scratch = &mut self.scratch;
        let known = if key == Key::NONE { Some(Known::Many) } else { self.cache.find(place, key) };
        match known {
            Some(Known::Ids(ids, len)) => output.extend_inline(ids, len),
            Some(Known::Many) => {
                output.extend(self.long.get(pretoken, |long| table.merge(long, scratch, monitor)));
            }
            None => {
                let ids = table.merge(pretoken, scratch, monitor);
                self.cache.put(place, key, ids);
                output.extend(ids);
            }
        }
    }
}
