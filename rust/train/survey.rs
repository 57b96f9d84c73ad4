//! One look at all words: which pairs occur often enough, and where.

use super::pairs::{Occurrences, Pairs};
use super::symbol::Symbol;
use super::words::Words;

/// Pairs are told apart by this many bits of their hash at first.
const BUCKET_BITS: u32 = 18;

/// What pairs with equal hashes have in common.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// How often they occur together: no pair of them occurs more often.
    count: u64,
    places: u32,
    /// Index in the list of pairs of the last one found here and 1; or 0.
    last: u32,
}

struct Found {
    left: u32,
    right: u32,
    occurrences: Occurrences,
    /// As [`Bucket::last`], the one found before in the same bucket.
    before: u32,
}

/// The pairs that occur at least `floor` times. Goes over the words twice: the first time counts only
/// what hashes have in common, so that the second need not remember pairs that are too rare.
pub fn survey<S: Symbol>(words: &Words<S>, floor: u64) -> Pairs {
    let mut buckets = vec![Bucket::default(); 1 << BUCKET_BITS];
    words.for_each_pair(|_, left, right, count| {
        let bucket = &mut buckets[bucket_of(left, right)];
        bucket.count += count;
        bucket.places += 1;
    });
    let mut all: Vec<Found> = Vec::new();
    words.for_each_pair(|place, left, right, count| {
        let bucket = &mut buckets[bucket_of(left, right)];
        if bucket.count < floor {
            return;
        }
        let mut index = bucket.last;
        while let Some(found) = (index as usize).checked_sub(1).and_then(|at| all.get_mut(at)) {
            if (found.left, found.right) == (left, right) {
                found.occurrences.count += count;
                found.occurrences.places.push(place);
                return;
            }
            index = found.before;
        }
        let mut places =
            Vec::with_capacity(if bucket.last == 0 { bucket.places as usize } else { 1 });
        places.push(place);
        let occurrences = Occurrences { count, places };
        all.push(Found { left, right, occurrences, before: bucket.last });
        bucket.last = all.len() as u32;
    });
    let mut pairs = Pairs::new(floor);
    for found in all.into_iter().filter(|found| found.occurrences.count >= floor) {
        pairs.insert(found.left, found.right, found.occurrences);
    }
    pairs
}

#[inline]
fn bucket_of(left: u32, right: u32) -> usize {
    let key = u64::from(left) << 32 | u64::from(right);
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - BUCKET_BITS)) as usize
}
