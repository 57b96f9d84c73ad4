//! Pretokens that are too long to be packed, and their counts.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::FxBuildHasher;

/// The bytes of all pretokens, one behind the other, and a table of where each is.
#[derive(Clone, Debug, Default)]
pub struct LongTable {
    bytes: Vec<u8>,
    places: HashTable<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    end: usize,
    count: u64,
}

impl Place {
    fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start..self.end]
    }
}

/// Bytes of a pretoken and its count in a list.
const LISTED: usize = size_of::<(&[u8], u64)>();

/// A hash of a long pretoken.
#[inline]
pub fn hash(pretoken: &[u8]) -> u64 {
    FxBuildHasher.hash_one(pretoken)
}

impl LongTable {
    /// Adds to the count of the pretoken whose hash is given; not 0.
    pub fn add(&mut self, hash_of_it: u64, pretoken: &[u8], count: u64) {
        let Self { bytes, places } = self;
        let equal = |place: &Place| place.of(bytes) == pretoken;
        match places.entry(hash_of_it, equal, |place| hash(place.of(bytes))) {
            Entry::Occupied(mut known) => {
                known.get_mut().count = known.get().count.saturating_add(count);
            }
            Entry::Vacant(free) => {
                let start = bytes.len();
                free.insert(Place { start, end: start + pretoken.len(), count });
                bytes.extend_from_slice(pretoken);
            }
        }
    }

    /// The count of a pretoken.
    pub fn get(&self, pretoken: &[u8]) -> u64 {
        let equal = |place: &Place| place.of(&self.bytes) == pretoken;
        self.places.find(hash(pretoken), equal).map_or(0, |place| place.count)
    }

    /// How many pretokens there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Bytes of memory that it takes, and that a list of its pretokens would take.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.places.allocation_size() + self.places.capacity() * LISTED
    }

    /// Bytes that a table of so many pretokens takes, those of the pretokens apart.
    pub fn memory_of(pretokens: u64) -> u64 {
        let places = pretokens.saturating_mul(8).div_ceil(7).next_power_of_two().max(4);
        let place = size_of::<Place>() + LISTED + 1;
        if pretokens == 0 { 0 } else { places.saturating_mul(place as u64).saturating_add(32) }
    }

    /// All pretokens and their counts, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.places.iter().map(|place| (place.of(&self.bytes), place.count))
    }
}
