//! Which pairs of ids are merged, how early, and into what.

use crate::prefetch::prefetch;
use crate::vocab::Vocabulary;

/// No rank: larger than any.
pub const NONE: u32 = (1 << RANK_BITS) - 1;

const ID_BITS: u32 = 21;
const RANK_BITS: u32 = 22;

/// The most ids that a vocabulary can have to be encoded with.
pub const MAX_IDS: usize = (1 << ID_BITS) - 1;

/// An id that no vocabulary has, so no merge either.
pub const NO_ID: u32 = MAX_IDS as u32;

const FREE: u64 = u64::MAX;

/// (left id, right id) -> rank of the merge: open addressing, two thirds empty, since most pairs that are
/// looked for are no merges. A slot is one word, so that the table stays small enough for a cache.
#[derive(Debug)]
pub struct MergeTable {
    /// Left id, right id and rank, in so many bits; all ones in a free slot.
    slots: Box<[u64]>,
    products: Products,
    /// How many merges there are.
    len: usize,
    /// Ranks, in order, of merges whose product is part of a merge of a lower rank.
    late: Box<[u32]>,
    bytes: [u32; 256],
    /// Left byte and right byte -> rank, for the pairs that every pretoken begins with.
    byte_ranks: Box<[u32; 1 << 16]>,
}

/// Rank -> id of the product.
#[derive(Debug)]
enum Products {
    /// Ids go up with ranks, as where a trainer numbered them: from that of the first merge on.
    From(u32),
    Listed(Box<[u32]>),
}

/// A pair of ids that may be merged, and where the table would have it.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pair: u64,
    slot: usize,
}

impl Question {
    /// About a pair of no ids.
    pub const NONE: Self = Self { pair: u64::MAX >> RANK_BITS, slot: 0 };
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
        let first = merges.first().map_or(0, |&(_, _, product)| product);
        let mut products = merges.iter().map(|&(_, _, product)| product);
        let products = if products.clone().eq(first..first + merges.len() as u32) {
            Products::From(first)
        } else {
            Products::Listed(products.by_ref().collect())
        };
        let mut table = Self {
            slots: slots.into(),
            products,
            len: merges.len(),
            late: late(&merges, vocabulary.len()),
            bytes: std::array::from_fn(|byte| vocabulary.byte_id(byte as u8)),
            byte_ranks: bytemuck::zeroed_box(),
        };
        for pair in 0..1 << 16 {
            table.byte_ranks[pair] = table.rank(table.bytes[pair >> 8], table.bytes[pair & 0xff]);
        }
        table
    }

    /// How many merges there are: their ranks are below.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether a merge may be followed by one of a lower rank that its product is part of. That is so
    /// only where several merges make the same token.
    #[inline(always)]
    pub fn is_late(&self, rank: u32) -> bool {
        self.late.binary_search(&rank).is_ok()
    }

    /// The id of a byte.
    #[inline(always)]
    pub fn byte_id(&self, byte: u8) -> u32 {
        self.bytes[usize::from(byte)]
    }

    /// The rank of the merge of two bytes; `NONE` if it has none.
    #[inline(always)]
    pub fn byte_rank(&self, left: u8, right: u8) -> u32 {
        self.byte_ranks[usize::from(left) << 8 | usize::from(right)]
    }

    /// What the merge of a rank makes of its pair.
    #[inline(always)]
    pub fn product(&self, rank: u32) -> u32 {
        match &self.products {
            Products::From(first) => first + rank,
            Products::Listed(products) => products[rank as usize],
        }
    }

    /// The rank of a pair's merge; `NONE` if it has none.
    #[inline(always)]
    pub fn rank(&self, left: u32, right: u32) -> u32 {
        self.answer(self.question(left, right))
    }

    /// To be answered later.
    #[inline(always)]
    pub fn question(&self, left: u32, right: u32) -> Question {
        let pair = pair_of(left, right);
        Question { pair, slot: hash(pair) & (self.slots.len() - 1) }
    }

    /// Asks for the memory that a question's answer is in.
    #[inline(always)]
    pub fn prefetch(&self, question: Question) {
        prefetch(&self.slots, question.slot);
    }

    /// The rank of a pair's merge; `NONE` if it has none.
    #[inline(always)]
    pub fn answer(&self, Question { pair, mut slot }: Question) -> u32 {
        loop {
            let found = self.slots[slot];
            // One branch, for which of the two it is nobody could predict; a free slot's rank is `NONE`.
            if (found >> RANK_BITS == pair) | (found == FREE) {
                return found as u32 & NONE;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }
}

/// The ranks of merges (left, right, product) whose product is part of a merge before them.
fn late(merges: &[(u32, u32, u32)], ids: usize) -> Box<[u32]> {
    let mut is_part = vec![false; ids];
    let mut late = Vec::new();
    for (rank, &(left, right, product)) in (0..).zip(merges) {
        if is_part[product as usize] {
            late.push(rank);
        }
        is_part[left as usize] = true;
        is_part[right as usize] = true;
    }
    late.into()
}

#[inline]
fn pair_of(left: u32, right: u32) -> u64 {
    u64::from(left) << ID_BITS | u64::from(right)
}

#[inline]
fn hash(pair: u64) -> usize {
    (pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}
