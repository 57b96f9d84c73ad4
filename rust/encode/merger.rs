//! Long pretokens -> ids, each by itself.
//!
//! What is merged next is asked of a heap, or, where there are many pairs, of buckets by rank: all pairs
//! of a rank are merged before one of a higher rank, and the pairs that arise are nearly always of a
//! higher rank. So a bucket is emptied as a whole, and the memory that its places need is asked for
//! together.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::buckets::Buckets;
use super::chain::Chain;
use super::table::{MergeTable, NONE, Question};
use super::watch::Watch;
use crate::Monitor;

/// Pretokens from so many bytes on have their pairs in buckets. In shorter ones few pairs share a bucket,
/// and a heap of them is small.
const MANY: usize = 1 << 13;

/// Longer pretokens have theirs in a heap: a merge takes one pair and adds two at most, and buckets have
/// no room for more.
const TOO_MANY: usize = Buckets::MAX_PLACES / 3;

/// Places of a bucket that are merged together.
const GROUP: usize = 64;

/// How many places before its turn a place's memory is asked for.
const AHEAD: usize = 16;

/// Places whose memory is kept for the next pretoken.
const KEPT: usize = 1 << 16;

/// Merges long pretokens, in n log n.
#[derive(Debug, Default)]
pub struct Merger {
    chain: Chain,
    /// Ranks and, in the lower half, places: one number is compared at once.
    queue: BinaryHeap<Reverse<u64>>,
    buckets: Buckets,
    /// Those of the bucket that is being merged.
    places: Vec<u32>,
}

fn queued(rank: u32, at: u32) -> Reverse<u64> {
    Reverse(u64::from(rank) << 32 | u64::from(at))
}

impl Merger {
    /// Appends the ids of a pretoken of at least one byte; not merged to the end if the monitor is
    /// cancelled.
    pub fn merge(
        &mut self,
        table: &MergeTable,
        pretoken: &[u8],
        monitor: &Monitor,
        ids: &mut Vec<u32>,
    ) {
        self.chain.begin(table, pretoken);
        if (MANY..=TOO_MANY).contains(&pretoken.len()) {
            self.merge_by_rank(table, &mut Watch::new(monitor));
        } else {
            self.merge_by_queue(table, &mut Watch::new(monitor));
        }
        ids.extend(self.chain.ids());
        // A pretoken of megabytes should not keep its memory.
        if pretoken.len() >= KEPT {
            *self = Self::default();
            ids.shrink_to_fit();
        }
    }

    /// Merges pair by pair.
    fn merge_by_queue(&mut self, table: &MergeTable, watch: &mut Watch<'_>) {
        self.queue.clear();
        self.queue.extend(self.chain.pairs().map(|(at, rank)| queued(rank, at)));
        self.empty_queue(table, NONE, watch);
    }

    /// Merges rank by rank.
    fn merge_by_rank(&mut self, table: &MergeTable, watch: &mut Watch<'_>) {
        let Self { chain, buckets, .. } = self;
        buckets.begin(table.len());
        chain.pairs().for_each(|(at, rank)| buckets.push(rank, at));
        while let Some(rank) = self.buckets.take(&mut self.places) {
            let goes_on = if table.is_late(rank) {
                self.queue.clear();
                self.queue.extend(self.places.iter().map(|&at| queued(rank, at)));
                self.empty_queue(table, rank, watch)
            } else {
                self.merge_places(table, rank, watch)
            };
            if !goes_on {
                self.buckets = Buckets::default();
                return;
            }
        }
    }

    /// Merges what is queued, and of the pairs that arise those of ranks up to `limit`; the others go to
    /// their buckets. `false` if the monitor was cancelled.
    #[inline(always)]
    fn empty_queue(&mut self, table: &MergeTable, limit: u32, watch: &mut Watch<'_>) -> bool {
        let Self { chain, queue, buckets, .. } = self;
        while let Some(Reverse(next)) = queue.pop() {
            let (rank, at) = ((next >> 32) as u32, next as u32);
            if !watch.goes_on(1) {
                return false;
            }
            // What was queued is out of date if either id has been merged since.
            if chain.rank(at) != rank {
                continue;
            }
            chain.join(at, table.product(rank));
            let (left, ids) = chain.around(at);
            for (at, pair) in [(at, (ids[1], ids[2])), (left, (ids[0], ids[1]))] {
                let rank = table.rank(pair.0, pair.1);
                if chain.set_rank(at, rank) {
                    if rank <= limit {
                        queue.push(queued(rank, at));
                    } else {
                        buckets.push(rank, at);
                    }
                }
            }
        }
        true
    }

    /// Merges all pairs of a rank, at `places`, of which no pair of a lower rank arises. `false` if the
    /// monitor was cancelled.
    fn merge_places(&mut self, table: &MergeTable, rank: u32, watch: &mut Watch<'_>) -> bool {
        let Self { chain, buckets, places, .. } = self;
        let product = table.product(rank);
        // From the left, which matters where an id is merged with its like: other pairs of one rank do
        // not overlap.
        places.sort_unstable();
        places.iter().take(AHEAD).for_each(|&at| chain.prefetch(at));
        let mut merged = [0; GROUP];
        let mut asked = [[(0, Question::NONE); 2]; GROUP];
        for start in (0..places.len()).step_by(GROUP) {
            let end = places.len().min(start + GROUP);
            let mut count = 0;
            for index in start..end {
                if let Some(&at) = places.get(index + AHEAD) {
                    chain.prefetch(at);
                }
                let at = places[index];
                if chain.rank(at) == rank {
                    chain.join(at, product);
                    merged[count] = at;
                    count += 1;
                }
            }
            for (asked, &at) in asked.iter_mut().zip(&merged[..count]) {
                let (left, ids) = chain.around(at);
                *asked =
                    [(at, table.question(ids[1], ids[2])), (left, table.question(ids[0], ids[1]))];
                asked.iter().for_each(|&(_, question)| table.prefetch(question));
            }
            for &(at, question) in asked[..count].as_flattened() {
                let rank = table.answer(question);
                if chain.set_rank(at, rank) {
                    buckets.push(rank, at);
                }
            }
            if !watch.goes_on(end - start) {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::slow::slow;
    use crate::vocab::Vocabulary;
    use proptest::prelude::*;

    /// A vocabulary of all bytes and of merges of what is there, in any order that may be: several may
    /// make one token, before and after others that it is part of.
    fn vocabulary(pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Vocabulary {
        let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        let mut merges = Vec::new();
        for (left, right) in pairs {
            let product = [left.as_slice(), &right].concat();
            if !tokens.contains(&product) {
                tokens.push(product);
            }
            merges.push((left, right));
        }
        Vocabulary::new((0..).zip(tokens).collect(), merges, &[]).unwrap()
    }

    /// Pairs of what is there, by two numbers each.
    fn pairs(choices: &[(usize, usize)], letters: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut parts: Vec<Vec<u8>> = (b'a'..b'a' + letters).map(|byte| vec![byte]).collect();
        let mut pairs = Vec::new();
        for &(left, right) in choices {
            let pair = (parts[left % parts.len()].clone(), parts[right % parts.len()].clone());
            let product = [pair.0.as_slice(), &pair.1].concat();
            if product.len() > 12 {
                continue;
            }
            if !parts.contains(&product) {
                parts.push(product);
            }
            pairs.push(pair);
        }
        pairs
    }

    /// By the queue and by rank.
    fn both(merger: &mut Merger, table: &MergeTable, pretoken: &[u8]) -> [Vec<u32>; 2] {
        [Merger::merge_by_queue, Merger::merge_by_rank].map(|merge| {
            merger.chain.begin(table, pretoken);
            merge(merger, table, &mut Watch::new(&Monitor::new()));
            merger.chain.ids().collect()
        })
    }

    #[test]
    fn a_late_merge_is_followed_by_one_of_a_lower_rank() {
        let pair = |left: &str, right: &str| (left.into(), right.into());
        let vocabulary = vocabulary([
            pair("x", "y"),
            pair("b", "x"),
            pair("bx", "y"),
            pair("bxy", "b"),
            pair("b", "xy"),
            pair("b", "b"),
        ]);
        let table = MergeTable::new(&vocabulary);
        assert_eq!((0..6).filter(|&rank| table.is_late(rank)).collect::<Vec<_>>(), [4]);
        for text in ["bxyb", "bxybxybxyb", "bbxybbxybxyb", "bxybbxyb"] {
            let expected = slow(&vocabulary, text.as_bytes());
            let found = both(&mut Merger::default(), &table, text.as_bytes());
            assert_eq!(found, [expected.clone(), expected], "{text}");
        }
    }

    #[test]
    fn a_merger_is_as_new_after_it_was_cancelled() {
        let powers = (0..10).map(|power| vec![b'a'; 1 << power]);
        let table = MergeTable::new(&vocabulary(powers.map(|part| (part.clone(), part))));
        let (mut merger, monitor, mut ids) = (Merger::default(), Monitor::new(), Vec::new());
        monitor.cancel();
        let text = vec![b'a'; KEPT - 1];
        merger.merge(&table, &text, &monitor, &mut ids);
        assert!(ids.len() > 64 + 9, "it was cancelled too late to tell");
        ids.clear();
        merger.merge(&table, &text, &Monitor::new(), &mut ids);
        let mut expected = vec![256 + 9; 63];
        expected.extend((256..256 + 9).rev());
        expected.push(u32::from(b'a'));
        assert_eq!(ids, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

        #[test]
        fn both_ways_are_those_of_a_slow_search(
            letters in 1u8..5,
            choices in prop::collection::vec((0usize..40, 0usize..40), 0..80),
            texts in prop::collection::vec(prop::collection::vec(0u8..5, 1..400), 1..4),
        ) {
            let vocabulary = vocabulary(pairs(&choices, letters));
            let (table, mut merger) = (MergeTable::new(&vocabulary), Merger::default());
            for text in texts {
                let text: Vec<u8> = text.iter().map(|letter| b'a' + letter % letters).collect();
                let expected = slow(&vocabulary, &text);
                prop_assert_eq!(both(&mut merger, &table, &text), [expected.clone(), expected]);
            }
        }
    }
}
