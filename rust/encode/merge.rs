//! One pretoken's bytes -> ids: the pair that was merged first in training is merged first, from the
//! left, until no pair is a merge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Monitor;
use crate::vocab::Vocabulary;

/// Merges of a long pretoken between two looks at the monitor.
const STRIDE: usize = 1 << 16;

/// No such place, pair or rank.
const NONE: u32 = u32::MAX;

/// (left id, right id) -> (rank of the merge, id of the product): open addressing, half empty.
#[derive(Debug)]
pub struct MergeTable {
    slots: Box<[Slot]>,
    bytes: [u32; 256],
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    left: u32,
    right: u32,
    rank: u32,
    product: u32,
}

/// Memory that merging needs again and again.
#[derive(Debug, Default)]
pub struct Scratch {
    ids: Vec<u32>,
    /// For each id, the merge with its right neighbour.
    pairs: Vec<Merge>,
    links: Vec<Link>,
    queue: BinaryHeap<Reverse<(u32, u32)>>,
}

/// What a pair becomes; `rank` is `NONE` if nothing.
#[derive(Clone, Copy, Debug)]
struct Merge {
    rank: u32,
    product: u32,
}

/// Neighbours that are still there.
#[derive(Clone, Copy, Debug)]
struct Link {
    left: u32,
    right: u32,
}

impl MergeTable {
    /// The merges of a vocabulary.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let merges: Vec<_> = vocabulary.merge_ids().collect();
        let empty = Slot { left: NONE, right: NONE, rank: NONE, product: NONE };
        let mut slots =
            vec![empty; (merges.len() * 2).next_power_of_two().max(2)].into_boxed_slice();
        let mask = slots.len() - 1;
        for (rank, (left, right, product)) in merges.into_iter().enumerate() {
            let mut at = hash(left, right) & mask;
            // A pair that is listed twice keeps its first rank.
            while slots[at].left != NONE && (slots[at].left, slots[at].right) != (left, right) {
                at = (at + 1) & mask;
            }
            if slots[at].left == NONE {
                // Fewer merges than ids, and ids are 32 bits.
                slots[at] = Slot { left, right, rank: rank as u32, product };
            }
        }
        Self { slots, bytes: std::array::from_fn(|byte| vocabulary.byte_id(byte as u8)) }
    }

    #[inline]
    fn get(&self, left: u32, right: u32) -> Merge {
        let mask = self.slots.len() - 1;
        let mut at = hash(left, right) & mask;
        loop {
            let slot = &self.slots[at];
            if (slot.left, slot.right) == (left, right) || slot.left == NONE {
                return Merge { rank: slot.rank, product: slot.product };
            }
            at = (at + 1) & mask;
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
        let (mut ids, mut ranks, mut products) = ([0; N], [NONE; N], [NONE; N]);
        for (id, &byte) in ids.iter_mut().zip(pretoken) {
            *id = self.bytes[usize::from(byte)];
        }
        for at in 1..len {
            let merge = self.get(ids[at - 1], ids[at]);
            (ranks[at - 1], products[at - 1]) = (merge.rank, merge.product);
        }
        let mut there = u64::MAX >> (64 - len);
        loop {
            let (mut best, mut at) = (NONE, 0);
            for (place, &rank) in ranks[..len].iter().enumerate() {
                (best, at) = if rank < best { (rank, place) } else { (best, at) };
            }
            if best == NONE {
                break;
            }
            let mut behind = there & (!1 << at);
            let gone = behind.trailing_zeros() as usize % N;
            there &= !(1 << gone);
            behind &= behind.wrapping_sub(1);
            (ids[at], ranks[gone], ranks[at]) = (products[at], NONE, NONE);
            let mut renew = |left: usize, right: usize| {
                let merge = self.get(ids[left], ids[right]);
                (ranks[left], products[left]) = (merge.rank, merge.product);
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
        let Scratch { ids, pairs, links, queue } = scratch;
        ids.extend(pretoken.iter().map(|&byte| self.bytes[usize::from(byte)]));
        pairs.clear();
        pairs.extend(ids.windows(2).map(|pair| self.get(pair[0], pair[1])));
        let last = ids.len() as u32 - 1;
        links.clear();
        links.extend((0..=last).map(|at| Link {
            left: at.wrapping_sub(1),
            right: if at == last { NONE } else { at + 1 },
        }));
        pairs.push(Merge { rank: NONE, product: NONE });
        queue.clear();
        queue.extend(
            (0..last).map(|at| Reverse((pairs[at as usize].rank, at))).filter(|r| r.0.0 != NONE),
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
            if pairs[place].rank != rank {
                continue;
            }
            let gone = links[place].right;
            let right = links[gone as usize].right;
            ids[place] = pairs[place].product;
            pairs[gone as usize].rank = NONE;
            ids[gone as usize] = NONE;
            links[place].right = right;
            if right != NONE {
                links[right as usize].left = at;
            }
            let mut renew = |at: u32, right: u32| {
                let place = at as usize;
                pairs[place] = match right {
                    NONE => Merge { rank: NONE, product: NONE },
                    _ => self.get(ids[place], ids[right as usize]),
                };
                if pairs[place].rank != NONE {
                    queue.push(Reverse((pairs[place].rank, at)));
                }
            };
            renew(at, right);
            if links[place].left != NONE {
                renew(links[place].left, at);
            }
        }
        ids.retain(|&id| id != NONE);
        // A pretoken of megabytes should not keep its memory.
        if links.capacity() > 1 << 16 {
            (*links, *pairs, *queue) = (Vec::new(), Vec::new(), BinaryHeap::new());
            ids.shrink_to_fit();
        }
    }
}

#[inline]
fn hash(left: u32, right: u32) -> usize {
    let key = u64::from(left) << 32 | u64::from(right);
    let product = u128::from(key ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    ((product >> 64) as u64 ^ product as u64) as usize
}
