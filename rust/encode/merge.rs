//! One pretoken's bytes -> ids: the pair that was merged first in training is merged first, from the
//! left, until no pair is a merge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::lane::{self, Lanes};
use super::table::{MergeTable, NONE};
use crate::Monitor;

/// Merges of a long pretoken between two looks at the monitor.
const STRIDE: usize = 1 << 16;

/// No place, or no id.
const NOWHERE: u32 = u32::MAX;

/// Memory that merging needs again and again.
#[derive(Debug, Default)]
pub struct Scratch {
    /// For short pretokens, and the rest for long ones.
    pub lanes: Lanes,
    ids: Vec<u32>,
    /// For each id, the rank of the merge with its right neighbour.
    ranks: Vec<u32>,
    links: Vec<Link>,
    /// Ranks and, in the lower half, places: one number is compared at once.
    queue: BinaryHeap<Reverse<u64>>,
}

/// Neighbours that are still there.
#[derive(Clone, Copy, Debug)]
struct Link {
    left: u32,
    right: u32,
}

impl MergeTable {
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
            0 => {}
            1..=lane::MAX_LEN => {
                let Scratch { ids, lanes, .. } = scratch;
                lanes.merge(self, [(0, pretoken)].into_iter(), |_, merged| ids.extend(merged));
            }
            _ => self.merge_long(pretoken, scratch, monitor),
        }
        &scratch.ids
    }

    /// Keeps pairs in a queue by (rank, place) and ids in a list: n log n.
    fn merge_long(&self, pretoken: &[u8], scratch: &mut Scratch, monitor: &Monitor) {
        let Scratch { ids, ranks, links, queue, .. } = scratch;
        ids.extend(pretoken.iter().map(|&byte| self.byte_id(byte)));
        ranks.clear();
        ranks.extend(pretoken.windows(2).map(|pair| self.byte_rank(pair[0], pair[1])));
        let last = ids.len() as u32 - 1;
        links.clear();
        links.extend((0..=last).map(|at| Link {
            left: at.wrapping_sub(1),
            right: if at == last { NOWHERE } else { at + 1 },
        }));
        ranks.push(NONE);
        let queued = |rank: u32, at: u32| Reverse(u64::from(rank) << 32 | u64::from(at));
        queue.clear();
        queue.extend((0..last).filter_map(|at| {
            let rank = ranks[at as usize];
            (rank != NONE).then(|| queued(rank, at))
        }));
        let mut until_check = STRIDE;
        while let Some(Reverse(next)) = queue.pop() {
            let (rank, at) = ((next >> 32) as u32, next as u32);
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
            ids[place] = self.product(rank);
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
                    queue.push(queued(ranks[place], at));
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
