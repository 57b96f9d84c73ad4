//! Pretokens that the cache has no slot for, because they or their ids are too many: their bytes and
//! ids stand one behind the other, and all are forgotten when there is no more room.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

/// Longer pretokens are not to be kept.
pub const MAX_LEN: usize = 1 << 10;

/// A cache that is emptied when it is full and somebody says that it may.
#[derive(Debug)]
pub struct LongCache {
    /// Bytes of pretokens that are enough to forget all.
    max_bytes: usize,
    bytes: Vec<u8>,
    ids: Vec<u32>,
    entries: Vec<Entry>,
    table: HashTable<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    bytes: (u32, u32),
    ids: (u32, u32),
    hash: u64,
}

impl LongCache {
    /// An empty cache for pretokens of about so many bytes. With their ids they take five times as much.
    pub fn new(max_bytes: usize) -> Self {
        let (bytes, ids, entries, table) = Default::default();
        Self { max_bytes, bytes, ids, entries, table }
    }

    /// Forgets everything if there is much. Only then do entries lose their numbers.
    pub fn make_room(&mut self) {
        if self.bytes.len() > self.max_bytes {
            self.table.clear();
            self.entries.clear();
            self.bytes.clear();
            self.ids.clear();
        }
    }

    /// The number of a pretoken's entry, if it has one.
    pub fn find(&self, pretoken: &[u8]) -> Option<usize> {
        self.find_hashed(FxBuildHasher.hash_one(pretoken), pretoken)
    }

    fn find_hashed(&self, hash: u64, pretoken: &[u8]) -> Option<usize> {
        let is_same = |&entry: &u32| {
            let entry = &self.entries[entry as usize];
            entry.hash == hash && part(&self.bytes, entry.bytes) == pretoken
        };
        self.table.find(hash, is_same).map(|&entry| entry as usize)
    }

    /// Keeps the ids of a pretoken of at most [`MAX_LEN`] bytes and returns the number of its entry.
    pub fn put(&mut self, pretoken: &[u8], ids: &[u32]) -> usize {
        debug_assert!(pretoken.len() <= MAX_LEN);
        let hash = FxBuildHasher.hash_one(pretoken);
        if let Some(entry) = self.find_hashed(hash, pretoken) {
            return entry;
        }
        let entry = self.entries.len();
        let (bytes, ids) = (append(&mut self.bytes, pretoken), append(&mut self.ids, ids));
        self.entries.push(Entry { bytes, ids, hash });
        let entries = &self.entries;
        self.table.insert_unique(hash, entry as u32, |&entry| entries[entry as usize].hash);
        entry
    }

    /// The ids of an entry.
    pub fn ids(&self, entry: usize) -> &[u32] {
        part(&self.ids, self.entries[entry].ids)
    }
}

fn part<T>(all: &[T], (start, end): (u32, u32)) -> &[T] {
    &all[start as usize..end as usize]
}

/// Appends a part, and says where it is.
fn append<T: Copy>(all: &mut Vec<T>, part: &[T]) -> (u32, u32) {
    let start = all.len() as u32;
    all.extend_from_slice(part);
    (start, all.len() as u32)
}
