//! Pretokens that the cache has no slot for, because they or their ids are too many: their bytes and
//! ids stand one behind the other, and all are forgotten when there is no more room.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

/// Bytes of pretokens that are kept at most.
const MAX_BYTES: usize = 1 << 21;

/// Longer pretokens are not kept.
const MAX_LEN: usize = 1 << 10;

/// A cache that is emptied when it is full.
#[derive(Debug, Default)]
pub struct LongCache {
    bytes: Vec<u8>,
    ids: Vec<u32>,
    places: HashTable<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    bytes: (u32, u32),
    ids: (u32, u32),
}

impl LongCache {
    /// The ids of a pretoken, from the cache or from `merge`.
    pub fn get<'s>(
        &'s mut self,
        pretoken: &[u8],
        merge: impl FnOnce(&[u8]) -> &'s [u32],
    ) -> &'s [u32] {
        let hash = FxBuildHasher.hash_one(pretoken);
        let Self { bytes, ids, places } = self;
        let equal = |place: &Place| part(bytes, place.bytes) == pretoken;
        if let Some(place) = places.find(hash, equal) {
            return part(ids, place.ids);
        }
        let merged = merge(pretoken);
        if pretoken.len() <= MAX_LEN {
            if bytes.len() + pretoken.len() > MAX_BYTES {
                places.clear();
                bytes.clear();
                ids.clear();
            }
            let place = Place { bytes: append(bytes, pretoken), ids: append(ids, merged) };
            let hash_of = |place: &Place| FxBuildHasher.hash_one(part(bytes, place.bytes));
            places.insert_unique(hash, place, hash_of);
        }
        merged
    }
}

fn part<T>(all: &[T], (start, end): (u32, u32)) -> &[T] {
    &all[start as usize..end as usize]
}

/// Appends a part, and says where it is: of at most [`MAX_BYTES`].
fn append<T: Copy>(all: &mut Vec<T>, part: &[T]) -> (u32, u32) {
    let start = all.len() as u32;
    all.extend_from_slice(part);
    (start, all.len() as u32)
}
