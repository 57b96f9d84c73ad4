//! The GPT-2 pattern, 64 bytes at a time: where pretokens start follows from masks by shifts.
//!
//! A pretoken starts
//!
//! - at a character that is no whitespace, unless the one before is of the same class, or a space;
//! - at the first whitespace of a run, and at its last, unless the text ends there;
//! - behind a contraction, and not within it.

use super::contraction_len;
use crate::pretokenize::blocks::{Block, Rules};
use crate::pretokenize::categories::Categories;
use crate::pretokenize::simd::BLOCK;

/// What stands before a block, as bits that are shifted into its masks.
#[derive(Debug, Default)]
pub(super) struct Before {
    letter: u64,
    number: u64,
    other: u64,
    white: u64,
    space: u64,
    /// A contraction reaches into the block: bits that are, and are not, starts there.
    starts: u64,
    no_starts: u64,
}

impl Rules for Before {
    #[inline(always)]
    fn starts(&mut self, block: &Block<'_>) -> u64 {
        let ascii = &block.ascii;
        let letter = ascii.letter | block.beyond(Categories::LETTER);
        let number = ascii.number | block.beyond(Categories::NUMBER);
        let white = ascii.white | block.beyond(Categories::SPACE);
        let other = !(letter | number | white);

        let same = letter & (letter << 1 | self.letter)
            | number & (number << 1 | self.number)
            | other & (other << 1 | self.other);
        let mut starts = !(white | same | ascii.space << 1 | self.space);
        starts |= white & !(white << 1 | self.white);
        let white_behind = white >> (BLOCK - 1) == 1 && block.white_behind();
        let last = white & !(white >> 1 | u64::from(white_behind) << (BLOCK - 1));
        starts |= block.first_bytes(last);

        starts = (starts | self.starts) & !self.no_starts;
        (self.starts, self.no_starts) = (0, 0);
        let mut apostrophes = ascii.apostrophe & starts;
        while apostrophes != 0 {
            let at = apostrophes.trailing_zeros();
            apostrophes &= apostrophes - 1;
            if let Some(length) = contraction_len(&block.rest[at as usize..]) {
                let end = 1u128 << length << at;
                let within = (end - 1) & !((2 << at) - 1);
                starts = starts & !(within as u64) | end as u64;
                self.no_starts |= (within >> BLOCK) as u64;
                self.starts |= (end >> BLOCK) as u64;
            }
        }

        let last = |mask: u64| mask >> (BLOCK - 1);
        self.letter = last(letter);
        self.number = last(number);
        self.other = last(other);
        self.white = last(white);
        self.space = last(ascii.space);
        starts
    }
}
