//! One pretoken's bytes -> ids: the pair that was merged first in training is merged first, from the
//! left, until no pair is a merge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Monitor;
use crate::vocab::Vocabulary;

/// Merges of a long pretoken between two looks at the monitor.
const STRIDE: usize = 1 << 16;

/// No rank: larger than any.
const NONE: u32 = (1 << RANK_BITS) - 1;

/// No place, or no id.
const NOWHERE: u32 = u32::MAX;

/// (left id, right id) -> rank of the merge: open addressing, two thirds empty, since most pairs that are
/// looked for are no merges. A slot is one word, so that the table stays small enough for a cache.
#[derive(Debug)]
pub struct MergeTable {
    /// Left id, right id and rank, in so many bits; all ones in a free slot.
    slots: Box<[u64]>,
    /// Rank -> id of the product.
    products: Box<[u32]>,
    bytes: [u32; 256],
    /// Left byte and right byte -> rank, for the pairs that every pretoken begins with.
    byte_ranks: Box<[u32; 1 << 16]>,
}

const ID_BITS: u32 = 21;
const RANK_BITS: u32 = 22;

/// The most ids that a vocabulary can have to be encoded with.
pub const MAX_IDS: usize = 1 << ID_BITS;

const FREE: u64 = u64::MAX;

/// Memory that merging needs again and again.
#[derive(Debug, Default)]
pub struct Scratch {
    ids: Vec<u32>,
    /// For each id, the rank of the merge with its right neighbour.
    ranks: Vec<u32>,
    links: Vec<Link>,
    queue: BinaryHeap<Reverse<(u32, u32)>>,
}

/// Neighbours that are still there.
#[derive(Clone, Copy, Debug)]
struct Link {
    left: u32,
    right: u32,
}

impl MergeTable {
    /// The merges of a vocabulary of at most [`MAX_IDS`] ids.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        debug_assert!(vocabulary.len() <= MAX_IDS);
        let merges: Vec<_> = vocabulary.merge_ids().collect();
        let mut slots = vec![FREE; (merges.len() * 3).next_power_of_two().max(2)];
        let mask = slots.len() - 1;
        for (rank, &(left, right, _)) in (0u64..).zip(&merges) {
            let pair = pair_of(left, right);
            let mut at = hash(pair) & mask;
            while slots[at] != FREE && slots[at] >> RANK_BITS != pair {
                at = (at + 1) & mask;
            }
            // A pair that is listed twice keeps its first rank.
            if slots[at] == FREE {
                slots[at] = pair << RANK_BITS | rank;
            }
        }
        let mut table = Self {
            slots: slots.into(),
            products: merges.into_iter().map(|(_, _, product)| product).collect(),
            bytes: std::array::from_fn(|byte| vocabulary.byte_id(byte as u8)),
            byte_ranks: bytemuck::zeroed_box(),
        };
        for pair in 0..1 << 16 {
            table.byte_ranks[pair] = table.rank(table.bytes[pair >> 8], table.bytes[pair & 0xff]);
        }
        table
    }

    /// The rank of a pair's merge; `NONE` if it has none.
    #[inline(always)]
    fn rank(&self, left: u32, right: u32) -> u32 {
        let mask = self.slots.len() - 1;
        let pair = pair_of(left, right);
        let mut at = hash(pair) & mask;
        loop {
            let slot = self.slots[at & mask];
            // One branch, for which of the two it is nobody could predict; a free slot's rank is `NONE`.
            if (slot >> RANK_BITS == pair) | (slot == FREE) {
                return slot as u32 & NONE;
            }
            at += 1;
        }
    }

    /// The ids of a pretoken; not merged to the end if the monitor is cancelled, which the caller has
    /// to look at.
    pub fn merge<'s>(
        &self,
        pretoken: &[u8],
        scratch: &'s mut Scratch,
        monitor: &Monitor,
    ) -> &'s [u32] {
        scratch.ids.clear();
        match pretoken.len() {
            0..=16 => self.merge_short::<16>(pretoken, &mut scratch.ids),
            17..=64 => self.merge_short::<64>(pretoken, &mut scratch.ids),
            _ => self.merge_long(pretoken, scratch, monitor),
        }
        &scratch.ids
    }

    /// For at most `N` bytes, `N` at most 64: looks at every pair for each merge, which is quadratic, and
    /// the fastest for a few ids. Nothing moves: a bit for each id says whether it is still there.
    fn merge_short<const N: usize>(&self, pretoken: &[u8], out: &mut Vec<u32>) {
        let len = pretoken.len().min(N);
        if len == 0 {
            return;
        }
        // A rank and the place of its pair in one number, so that the smallest is the one to merge. In 64
        // bits, so that they are compared one by one: wide loads would wait for the narrow stores before.
        let packed = |rank: u32, place: usize| u64::from(rank) << 32 | place as u64;
        let (mut ids, mut merges) = ([0; N], [packed(NONE, 0); N]);
        for (id, &byte) in ids.iter_mut().zip(pretoken) {
            *id = self.bytes[usize::from(byte)];
        }
        for ((place, merge), pair) in merges.iter_mut().enumerate().zip(pretoken.windows(2)) {
            let rank = self.byte_ranks[usize::from(pair[0]) << 8 | usize::from(pair[1])];
            *merge = packed(rank, place);
        }
        let mut there = u64::MAX >> (64 - len);
        loop {
            let best = merges[..len].iter().fold(u64::MAX, |best, &merge| best.min(merge));
            let (rank, at) = ((best >> 32) as u32, best as usize % N);
            if rank == NONE {
                break;
            }
            let mut behind = there & (!1 << at);
            let gone = behind.trailing_zeros() as usize % N;
            there &= !(1 << gone);
            behind &= behind.wrapping_sub(1);
            ids[at] = self.products[rank as usize];
            (merges[gone], merges[at]) = (packed(NONE, 0), packed(NONE, 0));
            let mut renew = |left: usize, right: usize| {
                merges[left] = packed(self.rank(ids[left], ids[right]), left);
            };
            if behind != 0 {
                renew(at, behind.trailing_zeros() as usize % N);
            }
            let before = there & !(u64::MAX << at);
            if before != 0 {
                renew(before.ilog2() as usize % N, at);
            }
        }
        while there != 0 {
            out.push(ids[there.trailing_zeros() as usize % N]);
            there &= there - 1;
        }
    }

    /// Keeps pairs in a queue by (rank, place) and ids in a list: n log n.
    fn merge_long(&self, pretoken: &[u8], scratch: &mut Scratch, monitor: &Monitor) {
        let Scratch { ids, ranks, links, queue } = scratch;
        ids.extend(pretoken.iter().map(|&byte| self.bytes[usize::from(byte)]));
        ranks.clear();
        let rank_of = |pair: &[u8]| usize::from(pair[0]) << 8 | usize::from(pair[1]);
        ranks.extend(pretoken.windows(2).map(|pair| self.byte_ranks[rank_of(pair)]));
        let last = ids.len() as u32 - 1;
        links.clear();
        links.extend((0..=last).map(|at| Link {
            left: at.wrapping_sub(1),
            right: if at == last { NOWHERE } else { at + 1 },
        }));
        ranks.push(NONE);
        queue.clear();
        queue.extend(
            (0..last).map(|at| Reverse((ranks[at as usize], at))).filter(|r| r.0.0 != NONE),
        );
        let mut until_check = STRIDE;
        while let Some(Reverse((rank, at))) = queue.pop() {
            until_check -= 1;
            if until_check == 0 {
                until_check = STRIDE;
                if monitor.check().is_err() {
                    break;
                }
            }
            let place = at as usize;
            // What was queued is out of date if either id has been merged since.
            if ranks[place] != rank {
                continue;
            }
            let gone = links[place].right;
            let right = links[gone as usize].right;
            ids[place] = self.products[rank as usize];
            ranks[gone as usize] = NONE;
            ids[gone as usize] = NOWHERE;
            links[place].right = right;
            if right != NOWHERE {
                links[right as usize].left = at;
            }
            let mut renew = |at: u32, right: u32| {
                let place = at as usize;
                ranks[place] = match right {
                    NOWHERE => NONE,
                    _ => self.rank(ids[place], ids[right as usize]),
                };
                if ranks[place] != NONE {
                    queue.push(Reverse((ranks[place], at)));
                }
            };
            renew(at, right);
            if links[place].left != NOWHERE {
                renew(links[place].left, at);
            }
        }
        ids.retain(|&id| id != NOWHERE);
        // A pretoken of megabytes should not keep its memory.
        if links.capacity() > 1 << 16 {
            (*links, *ranks, *queue) = (Vec::new(), Vec::new(), BinaryHeap::new());
            ids.shrink_to_fit();
        }
    }
}

#[inline]
fn pair_of(left: u32, right: u32) -> u64 {
    u64::from(left) << ID_BITS | u64::from(right)
}

#[inline]
fn hash(pair: u64) -> usize {
    (pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}
