//! The class of every code point: letter, number, whitespace or other.
//!
//! The table is made, once, from the very tables that the regex engine uses (crate `regex-syntax`),
//! so that the scanners and the engine cannot disagree.

use std::sync::OnceLock;

use regex_syntax::hir::{Class as HirClass, HirKind};

/// What the patterns in use distinguish.
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

const PAGE_BITS: u32 = 8;
const PAGE: usize = 1 << PAGE_BITS;
const CODE_POINTS: usize = 0x11_0000;

/// Two stages: code point / 256 -> page -> class. Most pages are alike and stored once (40 kB in all).
#[derive(Debug)]
pub struct Classes {
    ascii: [Class; 128],
    page_of: Vec<u16>,
    pages: Vec<[Class; PAGE]>,
}

impl Classes {
    /// The one table.
    pub fn get() -> &'static Self {
        static TABLE: OnceLock<Classes> = OnceLock::new();
        TABLE.get_or_init(Self::build)
    }

    fn build() -> Self {
        let mut flat = vec![Class::Other; CODE_POINTS];
        for (pattern, class) in
            [(r"\p{L}", Class::Letter), (r"\p{N}", Class::Number), (r"\s", Class::Space)]
        {
            for (first, last) in ranges(pattern) {
                flat[first as usize..=last as usize].fill(class);
            }
        }
        let mut pages: Vec<[Class; PAGE]> = Vec::new();
        let mut page_of = Vec::with_capacity(CODE_POINTS / PAGE);
        for chunk in flat.chunks_exact(PAGE) {
            let mut page = [Class::Other; PAGE];
            page.copy_from_slice(chunk);
            let index = pages.iter().position(|known| *known == page).unwrap_or_else(|| {
                pages.push(page);
                pages.len() - 1
            });
            // At most 0x1100 pages exist.
            page_of.push(index as u16);
        }
        let mut ascii = [Class::Other; 128];
        ascii.copy_from_slice(&flat[..128]);
        Self { ascii, page_of, pages }
    }

    /// The class of a code point.
    #[inline]
    #[must_use]
    pub fn of(&self, code_point: u32) -> Class {
        let page = self.page_of[(code_point >> PAGE_BITS) as usize];
        self.pages[page as usize][code_point as usize & (PAGE - 1)]
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
        match decode(text) {
            Some((code_point, length)) => (self.of(code_point), length),
            None => (Class::Other, 1),
        }
    }

    /// Class and length of the character at the end of `text`, which must not be empty.
    #[inline]
    #[must_use]
    pub fn last(&self, text: &[u8]) -> (Class, usize) {
        let n = text.len();
        if text[n - 1] < 0x80 {
            return (self.of_ascii(text[n - 1]), 1);
        }
        for length in 2..=n.min(4) {
            if let Some((code_point, decoded)) = decode(&text[n - length..])
                && decoded == length
            {
                return (self.of(code_point), length);
            }
        }
        (Class::Other, 1)
    }
}

/// The first character of `text` if its first bytes are valid UTF-8 beyond ASCII (no overlong forms,
/// no surrogates, nothing above U+10FFFF).
#[inline]
fn decode(text: &[u8]) -> Option<(u32, usize)> {
    let at =
        |i: usize| text.get(i).copied().filter(|b| b & 0xc0 == 0x80).map(|b| u32::from(b & 0x3f));
    let first = u32::from(text[0]);
    match text[0] {
        0xc2..=0xdf => Some(((first & 0x1f) << 6 | at(1)?, 2)),
        0xe0..=0xef => {
            let code_point = (first & 0x0f) << 12 | at(1)? << 6 | at(2)?;
            (code_point >= 0x800 && !(0xd800..0xe000).contains(&code_point))
                .then_some((code_point, 3))
        }
        0xf0..=0xf4 => {
            let code_point = (first & 0x07) << 18 | at(1)? << 12 | at(2)? << 6 | at(3)?;
            (0x1_0000..0x11_0000).contains(&code_point).then_some((code_point, 4))
        }
        _ => None,
    }
}

/// The code points that a class expression matches, as inclusive ranges.
fn ranges(pattern: &str) -> Vec<(u32, u32)> {
    match regex_syntax::parse(pattern).map(regex_syntax::hir::Hir::into_kind) {
        Ok(HirKind::Class(HirClass::Unicode(class))) => {
            class.iter().map(|range| (range.start() as u32, range.end() as u32)).collect()
        }
        other => unreachable!("{pattern} is a class: {other:?}"),
    }
}
