//! The patterns of the family, 64 bytes at a time: where pretokens start follows from masks by shifts.
//!
//! A pretoken starts
//!
//! - at the first letter of a word, unless whitespace other than a newline stands before, or a symbol at
//!   which a pretoken starts, or a contraction ends there;
//! - at the first of a run of symbols, unless a space stands before;
//! - at the first digit of a run, and at every third one from there or at every one;
//! - at the first whitespace of a run, where newlines behind symbols do not count; behind its last
//!   newline; and at its last character, if that is no newline and the text does not end there;
//! - behind a contraction.
//!
//! What a pattern leaves to chance, the newlines that belong to symbols and the digits of long numbers, is
//! found by additions, whose carries run through runs of bits.

use std::marker::PhantomData;

use super::{Dialect, contraction_len};
use crate::pretokenize::blocks::{Block, Rules};
use crate::pretokenize::categories::Categories;
use crate::pretokenize::simd::BLOCK;

/// What stands before a block, as bits that are shifted into its masks.
#[derive(Debug)]
pub(in crate::pretokenize) struct Before<D> {
    word: u64,
    number: u64,
    symbol: u64,
    /// Whitespace that is no newline, and the space alone.
    blank: u64,
    space: u64,
    newline: u64,
    /// Whitespace that is not part of a pretoken of symbols.
    free: u64,
    /// A symbol, or a newline that belongs to symbols.
    open: u64,
    /// A symbol that a word would take in.
    prefix: u64,
    /// How many digits the last number has in its last pretoken, 0 if another pretoken follows it.
    digits: u32,
    /// A contraction ends within the block.
    starts: u64,
    dialect: PhantomData<D>,
}

impl<D> Default for Before<D> {
    fn default() -> Self {
        Self {
            word: 0,
            number: 0,
            symbol: 0,
            blank: 0,
            space: 0,
            newline: 0,
            free: 0,
            open: 0,
            prefix: 0,
            digits: 0,
            starts: 0,
            dialect: PhantomData,
        }
    }
}

impl<D: Dialect> Rules for Before<D> {
    #[inline(always)]
    fn starts(&mut self, block: &Block<'_>) -> u64 {
        let ascii = &block.ascii;
        let newline = ascii.newline;
        let word = ascii.letter | block.beyond(D::WORD);
        let number = ascii.number | block.beyond(Categories::NUMBER);
        let blank = ascii.white & !newline | block.beyond(Categories::SPACE);
        let symbol = !(word | number | blank | newline);

        let first_symbol = symbol & !(symbol << 1 | self.symbol | ascii.space << 1 | self.space);
        let prefix = self.whole_characters(first_symbol, block);
        let mut starts = word & !(word << 1 | self.word)
            & !(blank << 1 | self.blank)
            & !(prefix << 1 | self.prefix);
        starts |= first_symbol;
        starts |= self.digits(number, block);

        // Newlines that belong to the symbols before them.
        let taken = through(newline & (symbol << 1 | self.open), newline);
        let free = (blank | newline) & !taken;
        starts |= free & !(free << 1 | self.free);
        if blank != 0 {
            starts |= self.blanks(blank, newline, block);
        }

        let follows = word >> 1 | 1 << (BLOCK - 1);
        let mut apostrophes =
            if D::CONTRACTIONS { ascii.apostrophe & first_symbol & follows } else { 0 };
        starts |= self.starts;
        self.starts = 0;
        while apostrophes != 0 {
            let at = apostrophes.trailing_zeros();
            apostrophes &= apostrophes - 1;
            if let Some(length) = contraction_len(&block.rest[at as usize..]) {
                let end = 1u128 << length << at;
                starts |= end as u64;
                self.starts |= (end >> BLOCK) as u64;
            }
        }

        let last = |mask: u64| mask >> (BLOCK - 1);
        self.word = last(word);
        self.number = last(number);
        self.symbol = last(symbol);
        self.blank = last(blank);
        self.space = last(ascii.space);
        self.newline = last(newline);
        self.free = last(free);
        self.open = last(symbol | taken);
        self.prefix = last(prefix);
        starts
    }
}

impl<D: Dialect> Before<D> {
    /// All bytes of characters of which the first are given.
    #[inline(always)]
    fn whole_characters(&self, first: u64, block: &Block<'_>) -> u64 {
        let mut bytes = first;
        if block.inner != 0 {
            for _ in 0..3 {
                bytes |= (bytes << 1 | self.prefix) & block.inner;
            }
        }
        bytes
    }

    /// The starts among digits.
    #[inline(always)]
    fn digits(&mut self, number: u64, block: &Block<'_>) -> u64 {
        let first = number & !block.inner;
        if D::DIGITS == 1 {
            return first;
        }
        const { assert!(D::DIGITS == 1 || D::DIGITS == 3) };
        let mut starts = number & !(number << 1 | self.number);
        if number & block.inner != 0 {
            // Characters of several bytes have to be counted.
            starts = self.count_digits(starts, first);
        } else {
            if self.digits > 0 {
                let next = 3 - self.digits;
                starts |= u64::from(number.trailing_ones() > next) << next;
            }
            let three_before = number & number << 1 & number << 2 & number << 3;
            let mut more = starts << 3 & three_before;
            while more != 0 {
                starts |= more;
                more = more << 3 & three_before;
            }
            self.digits = 1 + starts.leading_zeros();
        }
        if number >> (BLOCK - 1) == 0 {
            self.digits = 0;
        }
        starts
    }

    #[cold]
    fn count_digits(&mut self, runs: u64, mut todo: u64) -> u64 {
        let mut starts = 0;
        while todo != 0 {
            let digit = todo & todo.wrapping_neg();
            todo &= !digit;
            if runs & digit != 0 || self.digits == 3 {
                starts |= digit;
                self.digits = 0;
            }
            self.digits += 1;
        }
        starts
    }

    /// Starts at whitespace that is no newline: the first behind the last newline of its run, and the
    /// last before something else.
    #[inline(always)]
    fn blanks(&self, blank: u64, newline: u64, block: &Block<'_>) -> u64 {
        let white_behind = blank >> (BLOCK - 1) == 1 && block.white_behind();
        let more = (blank | newline) >> 1 | u64::from(white_behind) << (BLOCK - 1);
        let last = block.first_bytes(blank & !more);

        // Of runs that follow a newline, those that another follows are no pretokens.
        let mut after = blank & (newline << 1 | self.newline);
        let (ran_through, to_the_end) = blank.overflowing_add(after);
        if to_the_end && newline_follows(block, D::WHOLE_TAIL) {
            after &= !highest(after);
        }
        let mut dropped = ran_through & newline;
        while dropped != 0 {
            let below = (dropped & dropped.wrapping_neg()) - 1;
            dropped &= dropped - 1;
            after &= !highest(after & below);
        }
        last | after
    }
}

/// Whether the whitespace behind a block comes to a newline, or to the end of the text if that means the
/// same. No text is looked at twice: only the block in which such whitespace starts asks.
#[cold]
fn newline_follows(block: &Block<'_>, at_end: bool) -> bool {
    let mut at = block.behind();
    while at < block.rest.len() {
        match block.table.at(block.rest, at) {
            (Categories::SPACE, length) => at += length,
            (category, _) => return category == Categories::NEWLINE,
        }
    }
    at_end
}

/// The bits of the runs in `mask` that begin with `first`.
#[inline(always)]
fn through(first: u64, mask: u64) -> u64 {
    (mask.wrapping_add(first) ^ mask) & mask
}

/// The highest bit of a mask.
#[inline(always)]
fn highest(mask: u64) -> u64 {
    mask.checked_ilog2().map_or(0, |place| 1 << place)
}
