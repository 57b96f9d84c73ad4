//! The class of every code point: letter, number, whitespace or other.

use std::sync::OnceLock;

use super::unicode::{self, Table};

/// What the GPT-2 pattern distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Neither of the others: `[^\s\p{L}\p{N}]`, and whatever is not UTF-8.
    Other = 0,
    /// `\p{L}`
    Letter = 1,
    /// `\p{N}`
    Number = 2,
    /// `\s`
    Space = 3,
}

/// The class of every code point.
#[derive(Debug)]
pub struct Classes {
    ascii: [Class; 128],
    table: Table<Class>,
}

impl Classes {
    /// The one table.
    pub fn get() -> &'static Self {
        static TABLE: OnceLock<Classes> = OnceLock::new();
        TABLE.get_or_init(Self::build)
    }

    fn build() -> Self {
        let classes = [(r"\p{L}", Class::Letter), (r"\p{N}", Class::Number), (r"\s", Class::Space)];
        let table = Table::new(Class::Other, &classes);
        Self { ascii: std::array::from_fn(|byte| table.of(byte as u32)), table }
    }

    /// The class of a code point.
    #[inline]
    #[must_use]
    pub fn of(&self, code_point: u32) -> Class {
        self.table.of(code_point)
    }

    /// The class of an ASCII byte.
    #[inline]
    #[must_use]
    pub fn of_ascii(&self, byte: u8) -> Class {
        self.ascii[(byte & 0x7f) as usize]
    }

    /// Class and length of the character at the start of `text`, which must not be empty. A byte
    /// that begins no valid UTF-8 sequence is `Other`, of length 1.
    #[inline]
    #[must_use]
    pub fn first(&self, text: &[u8]) -> (Class, usize) {
        let byte = text[0];
        if byte < 0x80 {
            return (self.of_ascii(byte), 1);
        }
        match unicode::first(text) {
            Some((code_point, length)) => (self.of(code_point), length),
            None => (Class::Other, 1),
        }
    }

    /// Class and length of the character at the end of `text`, which must not be empty.
    #[inline]
    #[must_use]
    pub fn last(&self, text: &[u8]) -> (Class, usize) {
        let byte = text[text.len() - 1];
        if byte < 0x80 {
            return (self.of_ascii(byte), 1);
        }
        match unicode::last(text) {
            Some((code_point, length)) => (self.of(code_point), length),
            None => (Class::Other, 1),
        }
    }
}
