//! One pretoken's bytes -> ids: the pair that was merged first in training is merged first, from the
//! left, until no pair is a merge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Monitor;
use crate::vocab::Vocabulary;

/// From this length on, a heap of pairs beats looking at all of them for each merge.
const LONG: usize = 64;

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
        scratch.ids.extend(pretoken.iter().map(|&byte| self.bytes[usize::from(byte)]));
        scratch.pairs.clear();
        scratch.pairs.extend(scratch.ids.windows(2).map(|pair| self.get(pair[0], pair[1])));
        if pretoken.len() < LONG {
            self.merge_short(&mut scratch.ids, &mut scratch.pairs);
        } else {
            self.merge_long(scratch, monitor);
        }
        &scratch.ids
    }

    /// Looks at every pair for each merge: quadratic, and the fastest for a few ids.
    fn merge_short(&self, ids: &mut Vec<u32>, pairs: &mut Vec<Merge>) {
        while let Some((at, best)) =
            pairs.iter().enumerate().min_by_key(|(_, pair)| pair.rank).map(|(at, pair)| (at, *pair))
            && best.rank != NONE
        {
            ids[at] = best.product;
            ids.remove(at + 1);
            pairs.remove(at);
            if at > 0 {
                pairs[at - 1] = self.get(ids[at - 1], ids[at]);
            }
            if at < pairs.len() {
                pairs[at] = self.get(ids[at], ids[at + 1]);
            }
        }
    }

    /// Keeps pairs in a queue by (rank, place) and ids in a list: n log n.
    fn merge_long(&self, scratch: &mut Scratch, monitor: &Monitor) {
        let Scratch { ids, pairs, links, queue } = scratch;
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
