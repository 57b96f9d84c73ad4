//! The category of every code point: the classes, with letters told apart by case, marks apart from
//! other symbols, and the two newlines apart from other whitespace.

use std::sync::OnceLock;

use super::unicode::{self, Table};

/// A set of categories. A category is a bit, so that "is it one of these" is one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Categories(u8);

impl Categories {
    /// None of the others, and whatever is not UTF-8.
    pub const OTHER: Self = Self(1);
    /// `\p{M}`
    pub const MARK: Self = Self(1 << 1);
    /// `\p{Ll}`
    pub const LOWER: Self = Self(1 << 2);
    /// `[\p{Lu}\p{Lt}]`
    pub const UPPER: Self = Self(1 << 3);
    /// `[\p{Lm}\p{Lo}]`
    pub const CASELESS: Self = Self(1 << 4);
    /// `\p{N}`
    pub const NUMBER: Self = Self(1 << 5);
    /// `\s`, but for newlines.
    pub const SPACE: Self = Self(1 << 6);
    /// `[\r\n]`
    pub const NEWLINE: Self = Self(1 << 7);

    /// `\p{L}`
    pub const LETTER: Self = Self::LOWER.or(Self::UPPER).or(Self::CASELESS);
    /// `\s`
    pub const WHITESPACE: Self = Self::SPACE.or(Self::NEWLINE);

    /// Both sets together.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a category is in this set; two sets, whether they meet.
    #[inline]
    #[must_use]
    pub const fn has(self, category: Self) -> bool {
        self.0 & category.0 != 0
    }

    /// How many categories there are.
    pub(super) const COUNT: usize = 8;

    /// A category's place among all.
    #[inline]
    pub(super) const fn index(self) -> usize {
        // The remainder changes nothing, but to the compiler it is a place in any array of so many.
        self.0.trailing_zeros() as usize % Self::COUNT
    }

    /// Whether the category of an index is in this set.
    #[inline]
    pub(super) const fn has_index(self, index: usize) -> bool {
        self.0 >> index & 1 != 0
    }
}

/// The category of every code point.
#[derive(Debug)]
pub struct CategoryTable {
    /// By byte; in no set from 0x80 on.
    ascii: [Categories; 256],
    table: Table<Categories>,
}

impl CategoryTable {
    /// The one table.
    pub fn get() -> &'static Self {
        static TABLE: OnceLock<CategoryTable> = OnceLock::new();
        TABLE.get_or_init(Self::build)
    }

    fn build() -> Self {
        let categories = [
            (r"\p{M}", Categories::MARK),
            (r"\p{Ll}", Categories::LOWER),
            (r"[\p{Lu}\p{Lt}]", Categories::UPPER),
            (r"[\p{Lm}\p{Lo}]", Categories::CASELESS),
            (r"\p{N}", Categories::NUMBER),
            (r"\s", Categories::SPACE),
            (r"[\r\n]", Categories::NEWLINE),
        ];
        let table = Table::new(Categories::OTHER, &categories);
        let ascii = std::array::from_fn(|byte| match byte {
            ..0x80 => table.of(byte as u32),
            _ => Categories(0),
        });
        Self { ascii, table }
    }

    /// The category of an ASCII byte; of any other, one that no set has.
    #[inline]
    #[must_use]
    pub fn of_ascii(&self, byte: u8) -> Categories {
        self.ascii[byte as usize]
    }

    /// Category and length of the character at `at`, a place within `text`. What is not UTF-8 is
    /// `OTHER`, and as long as what becomes one U+FFFD when it is decoded.
    #[inline(always)]
    #[must_use]
    pub fn at(&self, text: &[u8], at: usize) -> (Categories, usize) {
        let rest = &text[at..];
        if rest[0] < 0x80 {
            return (self.of_ascii(rest[0]), 1);
        }
        match unicode::first(rest) {
            Some((code_point, length)) => (self.table.of(code_point), length),
            None => (Categories::OTHER, invalid_len(rest)),
        }
    }

    /// Category of the character that ends before `at`, a place behind the start of `text`.
    #[must_use]
    pub fn before(&self, text: &[u8], at: usize) -> Categories {
        match text[at - 1] {
            byte @ ..0x80 => self.of_ascii(byte),
            _ => unicode::last(&text[..at])
                .map_or(Categories::OTHER, |(code_point, _)| self.table.of(code_point)),
        }
    }
}

/// Length of the invalid sequence at the start of `text`.
#[cold]
fn invalid_len(text: &[u8]) -> usize {
    text.utf8_chunks().next().map_or(1, |chunk| chunk.invalid().len())
}
