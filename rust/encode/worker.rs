//! What one thread needs to turn text into ids.

use super::cache::{Cache, INLINE};
use super::long::LongCache;
use super::merge::{MergeTable, Scratch};
use super::TokenId;
use crate::count::Key;
use crate::pretokenize::Pretokenizer;
use crate::{Monitor, Result};

/// Pretokens whose places in the cache are asked for before the first of them is looked at.
const BATCH: usize = 64;

/// Caches, and memory that merging needs again and again.
#[derive(Debug)]
pub struct Worker<T> {
    cache: Cache<T>,
    long: LongCache,
    scratch: Scratch,
}

/// A pretoken that waits for its place in the cache.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    /// Nothing if the pretoken is too long to be packed.
    key: Key,
    place: usize,
    start: usize,
    end: usize,
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
        if let Some(room) = self.ids[self.len..].first_chunk_mut() {
            *room = *ids;
        }
        self.len += len;
    }
}

impl<T: TokenId> Worker<T> {
    /// A worker with `slots` slots in its cache, a power of two.
    pub fn new(slots: usize) -> Self {
        Self { cache: Cache::new(slots), long: LongCache::default(), scratch: Scratch::default() }
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
        let mut batch = [Waiting::default(); BATCH];
        let mut waiting = 0;
        pretokenizer.for_each_range(text, monitor, |start, end| {
            let key = Key::read(text, start, end).unwrap_or_default();
            batch[waiting] = Waiting { key, place: self.cache.place(key), start, end };
            waiting += 1;
            if waiting == BATCH {
                self.encode_batch(table, text, &batch, monitor, output);
                waiting = 0;
            }
        })?;
        self.encode_batch(table, text, &batch[..waiting], monitor, output);
        Ok(())
    }

    #[inline]
    fn encode_batch(
        &mut self,
        table: &MergeTable,
        text: &[u8],
        batch: &[Waiting],
        monitor: &Monitor,
        output: &mut Output<'_, T>,
    ) {
        for pretoken in batch {
            match self.cache.get(pretoken.place, pretoken.key) {
                Some((ids, len)) => output.extend_inline(ids, len),
                None => self.encode_miss(table, text, pretoken, monitor, output),
            }
        }
    }

    #[cold]
    fn encode_miss(
        &mut self,
        table: &MergeTable,
        text: &[u8],
        &Waiting { key, place, start, end }: &Waiting,
        monitor: &Monitor,
        output: &mut Output<'_, T>,
    ) {
        let (scratch, pretoken) = (&mut self.scratch, &text[start..end]);
        if key == Key::default() || self.cache.has_many(place, key) {
            output.extend(self.long.get(pretoken, |long| table.merge(long, scratch, monitor)));
            return;
        }
        let ids = table.merge(pretoken, scratch, monitor);
        self.cache.put(place, key, ids);
        output.extend(ids);
    }
}
