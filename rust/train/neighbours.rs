//! What stands on one side of a pair that is being merged: per id, how often and where.

use super::pairs::Occurrences;

/// Notes are taken in the order of the places, and sorted by id only for ids that occur often enough:
/// most are too rare ever to be merged, and cost no list of their own.
#[derive(Debug, Default)]
pub struct Neighbours {
    /// Per id.
    sums: Vec<Sum>,
    /// Ids that have a sum.
    seen: Vec<u32>,
    /// Id and place.
    notes: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: u64,
    notes: u32,
    /// Index of the list for the places and 1; or 0.
    list: u32,
}

impl Neighbours {
    /// Makes room for ids below `ids`.
    pub fn prepare(&mut self, ids: usize) {
        self.sums.resize(ids, Sum::default());
    }

    /// Notes a neighbour in a word that occurs `count` times.
    #[inline]
    pub fn note(&mut self, id: u32, place: u32, count: u64) {
        let sum = &mut self.sums[id as usize];
        if sum.notes == 0 {
            self.seen.push(id);
        }
        sum.count += count;
        sum.notes += 1;
        self.notes.push((id, place));
    }

    /// All neighbours and how often each was noted; those that were at least `floor` times also with
    /// their places. Nothing is left.
    pub fn take(&mut self, floor: u64) -> Found {
        let mut counts = Vec::with_capacity(self.seen.len());
        let mut often = Vec::new();
        for &id in &self.seen {
            let sum = &mut self.sums[id as usize];
            counts.push((id, sum.count));
            if sum.count >= floor {
                let places = Vec::with_capacity(sum.notes as usize);
                often.push((id, Occurrences { count: sum.count, places }));
                sum.list = often.len() as u32;
            }
        }
        if !often.is_empty() {
            for &(id, place) in &self.notes {
                if let Some(list) = (self.sums[id as usize].list as usize).checked_sub(1) {
                    often[list].1.places.push(place);
                }
            }
        }
        self.seen.drain(..).for_each(|id| self.sums[id as usize] = Sum::default());
        self.notes.clear();
        Found { counts, often }
    }
}

/// What [`Neighbours::take`] gives.
#[derive(Debug)]
pub struct Found {
    /// Ids and counts.
    pub counts: Vec<(u32, u64)>,
    /// Ids that occur often, and where.
    pub often: Vec<(u32, Occurrences)>,
}
