//! Places by the rank of the merge that they wait for.

/// Numbers of a block: places, and behind them where the block before it is filled up to.
const BLOCK: usize = 16;
const LINK: usize = BLOCK - 1;

/// For each rank a stack of places. A stack is a chain of blocks the size of a cache line, which go from
/// rank to rank, so that memory follows the places and not the ranks times the longest stack.
#[derive(Debug, Default)]
pub struct Buckets {
    /// For each rank the topmost place, as an index into the blocks, which are filled from behind; 0 if
    /// there is none. Every bucket that is taken is set back, so that nothing has to be cleared.
    tops: Vec<u32>,
    /// A bit for each rank that has places.
    filled: Vec<u64>,
    /// The first word of those bits that may not be zero.
    word: usize,
    /// The first block is nobody's, as 0 is no top.
    blocks: Vec<[u32; BLOCK]>,
    /// A block that may be had, linked to others; 0 if there is none.
    free: u32,
}

impl Buckets {
    /// The most places at once for which the numbers of blocks suffice.
    pub const MAX_PLACES: usize = 3 << 30;

    /// Begins anew with empty buckets for ranks below `ranks`.
    pub fn begin(&mut self, ranks: usize) {
        debug_assert!(self.filled.iter().all(|&word| word == 0));
        if self.tops.len() < ranks {
            self.tops = vec![0; ranks];
            self.filled = vec![0; ranks.div_ceil(64)];
        }
        if self.blocks.is_empty() {
            self.blocks.push([0; BLOCK]);
        }
        self.word = 0;
    }

    /// Adds a place to the bucket of a rank, which is larger than that last taken.
    #[inline(always)]
    pub fn push(&mut self, rank: u32, place: u32) {
        let rank = rank as usize;
        let mut top = self.tops[rank] as usize;
        if top.is_multiple_of(BLOCK) {
            let below = top;
            top = self.block() * BLOCK + LINK;
            self.blocks[top / BLOCK][LINK] = below as u32;
            self.filled[rank / 64] |= 1 << (rank % 64);
        }
        top -= 1;
        self.blocks[top / BLOCK][top % BLOCK] = place;
        self.tops[rank] = top as u32;
    }

    /// An unused block.
    #[inline(always)]
    fn block(&mut self) -> usize {
        let block = self.free as usize;
        if block > 0 {
            self.free = self.blocks[block][LINK];
            return block;
        }
        self.blocks.push([0; BLOCK]);
        self.blocks.len() - 1
    }

    /// Empties the bucket of the lowest rank that has one into `places`, the latest first.
    #[inline]
    pub fn take(&mut self, places: &mut Vec<u32>) -> Option<u32> {
        places.clear();
        let first = self.filled.get(self.word..)?.iter().position(|&word| word != 0);
        self.word = first.map_or(self.filled.len(), |first| self.word + first);
        let word = self.filled.get_mut(self.word)?;
        let rank = self.word * 64 + word.trailing_zeros() as usize;
        *word &= *word - 1;
        let mut top = std::mem::take(&mut self.tops[rank]) as usize;
        while top > 0 {
            let block = top / BLOCK;
            places.extend_from_slice(&self.blocks[block][top % BLOCK..LINK]);
            top = self.blocks[block][LINK] as usize;
            self.blocks[block][LINK] = self.free;
            self.free = block as u32;
        }
        Some(rank as u32)
    }
}
