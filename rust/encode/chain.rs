//! The ids that a long pretoken has become so far.

use super::table::{MergeTable, NO_ID, NONE};
use crate::prefetch::prefetch;

/// Ids at their places, which are those of their first bytes, linked to those beside them. The last
/// place is nobody's and stands for whatever is beyond either end.
#[derive(Debug, Default)]
pub struct Chain(Vec<Node>);

/// What is read together stands together: four to a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
struct Node {
    id: u32,
    /// That of the merge with the right neighbour.
    rank: u32,
    left: u32,
    right: u32,
}

impl Chain {
    /// Begins with the bytes of a pretoken, of which there is at least one.
    pub fn begin(&mut self, table: &MergeTable, pretoken: &[u8]) {
        let beyond = pretoken.len() as u32;
        self.0.clear();
        self.0.extend((0..beyond).zip(pretoken).map(|(at, &byte)| Node {
            id: table.byte_id(byte),
            rank: NONE,
            left: at.checked_sub(1).unwrap_or(beyond),
            right: at + 1,
        }));
        for (node, pair) in self.0.iter_mut().zip(pretoken.windows(2)) {
            node.rank = table.byte_rank(pair[0], pair[1]);
        }
        self.0.push(Node { id: NO_ID, rank: NONE, left: beyond - 1, right: 0 });
    }

    /// Places and ranks of all pairs that are merges.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u32)> {
        (0u32..).zip(&self.0).map(|(at, node)| (at, node.rank)).filter(|&(_, rank)| rank != NONE)
    }

    /// The rank of the merge of the id at a place with that to its right.
    #[inline(always)]
    pub fn rank(&self, at: u32) -> u32 {
        self.0[at as usize].rank
    }

    /// Notes that rank, and says whether it is another than before, and of a merge.
    #[inline(always)]
    pub fn set_rank(&mut self, at: u32, rank: u32) -> bool {
        let before = std::mem::replace(&mut self.0[at as usize].rank, rank);
        rank != before && rank != NONE
    }

    /// Asks for the memory of a place.
    #[inline(always)]
    pub fn prefetch(&self, at: u32) {
        prefetch(&self.0, at as usize);
    }

    /// Puts the product in place of the id at a place and that to its right. Of the two pairs that it is
    /// part of, the rank of the left is as before and that of the right is not yet known.
    #[inline(always)]
    pub fn join(&mut self, at: u32, product: u32) {
        let node = &mut self.0[at as usize];
        let gone = node.right as usize;
        node.id = product;
        node.rank = NONE;
        let right = self.0[gone].right;
        self.0[gone].id = NO_ID;
        self.0[gone].rank = NONE;
        self.0[at as usize].right = right;
        self.0[right as usize].left = at;
    }

    /// The place to the left, and the ids to the left of a place, at it and to the right.
    #[inline(always)]
    pub fn around(&self, at: u32) -> (u32, [u32; 3]) {
        let Node { id, left, right, .. } = self.0[at as usize];
        (left, [self.0[left as usize].id, id, self.0[right as usize].id])
    }

    /// The ids that are left.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|node| node.id).filter(|&id| id != NO_ID)
    }
}
