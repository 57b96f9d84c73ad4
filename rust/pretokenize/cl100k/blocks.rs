//! The patterns of the family, 64 bytes at a time: where pretokens start follows from masks by shifts.
//!
//! A pretoken starts
//!
//! - at the first letter of a run, unless whitespace other than a newline stands before, or a symbol at
//!   which a pretoken starts;
//! - at the first of a run of symbols, unless a space stands before; newlines behind it are part of it;
//! - at the first digit of a run, and at every third one from there, or at every one;
//! - at the first of what whitespace is left, behind its last newline, and at its last character, if that
//!   is no newline and the text does not end there;
//! - behind a contraction;
//!
//! and where the dialect looks at case, within a run of letters
//!
//! - at a capital, if the last letter before it that has a case is small;
//! - at the first of the capitals that a run ends with, if before them stands a letter without case that
//!   no small letter comes before in its word.
//!
//! What depends on a whole run, such as which newlines are part of symbols, is found by additions, whose
//! carries go through runs of bits; what depends on the end of a run beyond the block, by looking there.

use std::marker::PhantomData;

use super::{Dialect, contraction_len};
use crate::pretokenize::bits::{highest, through, without_those_before};
use crate::pretokenize::blocks::{Block, Rules};
use crate::pretokenize::categories::Categories;
use crate::pretokenize::simd::BLOCK;

/// What stands before a block, as bits that are shifted into its masks.
#[derive(Debug, Default)]
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
    /// A newline, or slash, that is.
    taken: u64,
    /// A symbol that a word would take in.
    prefix: u64,
    /// A small letter, or one without case behind it; one without case elsewhere.
    small: u64,
    neutral: u64,
    /// How many digits the last number has in its last pretoken, 0 if another pretoken follows it.
    digits: u32,
    /// A contraction reaches into the block: where it ends, and what is within it.
    contraction: Contractions,
    dialect: PhantomData<D>,
}

/// What masks say about symbols.
struct Symbols {
    /// All, with what they take in; without newlines, and slashes that stand for newlines.
    symbol: u64,
    /// Newlines, and slashes, that belong to the symbols before.
    taken: u64,
    /// The first bytes of pretokens that start with one.
    first: u64,
    /// All bytes of these first symbols.
    prefix: u64,
}

/// Contractions: the bytes behind them, and their own but for the apostrophe.
#[derive(Debug, Default, Clone, Copy)]
struct Contractions {
    ends: u64,
    within: u64,
}

impl<D: Dialect> Rules for Before<D> {
    #[inline(always)]
    fn starts(&mut self, block: &Block<'_>) -> u64 {
        let ascii = &block.ascii;
        let newline = ascii.newline;
        let word = ascii.letter | block.beyond(D::WORD);
        let number = ascii.number | block.beyond(Categories::NUMBER);
        let blank = ascii.white & !newline | block.beyond(Categories::SPACE);
        let others = !(word | number | blank | newline);
        let Symbols { symbol, taken, first, prefix } = self.symbols(others, block);
        let word = word & !symbol;
        let contractions = self.contractions(first, word, block);

        let first_letter = word & !(word << 1 | self.word);
        let mut starts = first_letter & !(blank << 1 | self.blank | prefix << 1 | self.prefix);
        if D::CASES {
            starts |= self.capitals(word, contractions.ends, block);
        }
        starts |= first;
        starts |= self.digits(number, block);
        let free = (blank | newline) & !taken;
        starts |= free & !(free << 1 | self.free);
        if blank != 0 {
            starts |= self.blanks(blank, newline, block);
        }
        starts = (starts | contractions.ends) & !contractions.within;

        let last = |mask: u64| mask >> (BLOCK - 1);
        self.word = last(word);
        self.number = last(number);
        self.symbol = last(symbol);
        self.blank = last(blank);
        self.space = last(ascii.space);
        self.newline = last(newline);
        self.free = last(free);
        self.taken = last(taken);
        self.prefix = last(prefix);
        starts
    }
}

impl<D: Dialect> Before<D> {
    /// Tells symbols from the marks and newlines that they take in.
    #[inline(always)]
    fn symbols(&self, others: u64, block: &Block<'_>) -> Symbols {
        let space_before = block.ascii.space << 1 | self.space;
        let mark = if D::CASES { block.beyond(Categories::MARK) } else { 0 };
        let mut undecided = mark & (others << 1 | self.symbol);
        let mut symbol = others;
        loop {
            let taken = self.taken(symbol, block);
            let proper = symbol & !taken;
            let first = proper & !(proper << 1 | self.symbol | space_before);
            let prefix = self.whole_characters(first, block);
            if undecided == 0 {
                return Symbols { symbol: proper, taken, first, prefix };
            }
            // Marks behind a symbol are symbols, unless that begins a pretoken: then a word begins with
            // it. What this makes of the first of them decides about the next.
            let mark_behind = undecided & undecided.wrapping_neg();
            undecided &= !mark_behind;
            if mark_behind & (proper << 1 | self.symbol) & !(prefix << 1 | self.prefix) != 0 {
                symbol |= through(mark_behind, mark);
            }
        }
    }

    /// Newlines, and slashes among them, that belong to the symbols before.
    #[inline(always)]
    fn taken(&self, symbol: u64, block: &Block<'_>) -> u64 {
        let newline = block.ascii.newline;
        let first = newline & (symbol << 1 | self.symbol | self.taken);
        if !D::SLASHES {
            return through(first, newline);
        }
        let slash = block.ascii.slash;
        let first = first | slash & self.taken;
        if slash & (newline << 1 | self.taken) == 0 {
            return through(first, newline);
        }
        let (mut taken, mut todo) = (0, first);
        while todo != 0 {
            taken |= through(todo & todo.wrapping_neg(), newline | slash);
            todo &= !taken;
        }
        taken
    }

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

    /// Finds the contractions in the block, and what is left of one from the block before.
    #[inline(always)]
    fn contractions(&mut self, first: u64, word: u64, block: &Block<'_>) -> Contractions {
        let mut found = std::mem::take(&mut self.contraction);
        let apostrophe = block.ascii.apostrophe;
        let mut todo = match (D::CONTRACTIONS, D::SUFFIXES) {
            (true, _) => apostrophe & first & (word >> 1 | 1 << (BLOCK - 1)),
            (_, true) => apostrophe & (word << 1 | self.word),
            _ => 0,
        };
        while todo != 0 {
            let at = todo.trailing_zeros();
            todo &= todo - 1;
            // Behind a contraction no other is a suffix.
            if D::SUFFIXES && found.ends >> at & 1 != 0 {
                continue;
            }
            if let Some(length) = contraction_len(&block.rest[at as usize..]) {
                let end = 1u128 << length << at;
                found.ends |= end as u64;
                self.contraction.ends = (end >> BLOCK) as u64;
                if D::SUFFIXES {
                    // The apostrophe too is no start then.
                    let within = end - (1 << at);
                    found.within |= within as u64;
                    self.contraction.within = (within >> BLOCK) as u64;
                }
            }
        }
        found
    }

    /// Starts within runs of letters: capitals behind small letters; and capitals at the end of a run,
    /// behind a letter without case that can stand for the small letter that a word ends with.
    #[inline(always)]
    fn capitals(&mut self, word: u64, contraction_ends: u64, block: &Block<'_>) -> u64 {
        let upper = block.ascii.upper | block.beyond(Categories::UPPER);
        let lower = block.ascii.letter & !block.ascii.upper | block.beyond(Categories::LOWER);
        let caseless = word & !(upper | lower);
        let small_before = (lower << 1 | self.small) & !contraction_ends;
        let small = lower | through(caseless & small_before, caseless);
        let neutral = caseless & !small;
        let mut starts = upper & (small << 1 | self.small);
        let tail = upper & (neutral << 1 | self.neutral);
        if tail != 0 {
            starts |= self.tails(tail, upper, word, block);
        }
        self.small = small >> (BLOCK - 1);
        self.neutral = neutral >> (BLOCK - 1);
        starts
    }

    /// Of the runs of capitals that begin at `tail`, those behind which no letter follows.
    #[cold]
    fn tails(&self, mut tail: u64, upper: u64, word: u64, block: &Block<'_>) -> u64 {
        let (ran_through, to_the_end) = upper.overflowing_add(tail);
        if to_the_end && category_behind(block, Categories::UPPER).is_some_and(|c| D::WORD.has(c)) {
            tail &= !highest(tail);
        }
        without_those_before(tail, ran_through & !upper & word)
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
        if to_the_end {
            let newline_follows = match category_behind(block, Categories::SPACE) {
                Some(category) => category == Categories::NEWLINE,
                None => D::WHOLE_TAIL,
            };
            if newline_follows {
                after &= !highest(after);
            }
        }
        last | without_those_before(after, ran_through & newline)
    }
}

/// The first category behind a block that is not in a set; `None` if the text ends before. No text is
/// looked at twice: only the block in which a run begins asks what follows it.
#[cold]
fn category_behind(block: &Block<'_>, set: Categories) -> Option<Categories> {
    let mut at = block.behind();
    while at < block.rest.len() {
        match block.table.at(block.rest, at) {
            (category, length) if set.has(category) => at += length,
            (category, _) => return Some(category),
        }
    }
    None
}
