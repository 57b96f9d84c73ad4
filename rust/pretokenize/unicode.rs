//! Code points and their properties.
//!
//! The tables are made from the very tables that the regex engine uses (crate `regex-syntax`), so that
//! the scanners and the engine cannot disagree.

use regex_syntax::hir::{Class, HirKind};

const PAGE_BITS: u32 = 8;
const PAGE: usize = 1 << PAGE_BITS;
const CODE_POINTS: usize = 0x11_0000;

/// A value for every code point, in two stages: code point / 256 -> page -> value. Most pages are
/// alike and stored once (some 40 kB in all).
#[derive(Debug)]
pub(super) struct Table<T> {
    page_of: Vec<u16>,
    pages: Vec<[T; PAGE]>,
}

impl<T: Copy + PartialEq> Table<T> {
    /// Gives what a class expression matches the value beside it, and the rest `default`.
    pub(super) fn new(default: T, values: &[(&str, T)]) -> Self {
        let mut flat: Box<[T]> = std::iter::repeat_n(default, CODE_POINTS).collect();
        for &(pattern, value) in values {
            for (first, last) in ranges(pattern) {
                flat[first as usize..=last as usize].fill(value);
            }
        }
        let mut pages: Vec<[T; PAGE]> = Vec::new();
        let mut page_of = Vec::with_capacity(CODE_POINTS / PAGE);
        for chunk in flat.chunks_exact(PAGE) {
            let mut page = [default; PAGE];
            page.copy_from_slice(chunk);
            let index = pages.iter().position(|known| *known == page).unwrap_or_else(|| {
                pages.push(page);
                pages.len() - 1
            });
            // At most 0x1100 pages exist.
            page_of.push(index as u16);
        }
        Self { page_of, pages }
    }

    /// The value of a code point.
    #[inline]
    pub(super) fn of(&self, code_point: u32) -> T {
        let page = self.page_of[(code_point >> PAGE_BITS) as usize];
        self.pages[page as usize][code_point as usize & (PAGE - 1)]
    }
}

/// The character at the start of `text`, which is not empty, and its length, if its first bytes are
/// valid UTF-8 beyond ASCII (no overlong forms, no surrogates, nothing above U+10FFFF).
#[inline(always)]
pub(super) fn first(text: &[u8]) -> Option<(u32, usize)> {
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

/// The character at the end of `text`, as [`first`] finds that at the start.
#[inline]
pub(super) fn last(text: &[u8]) -> Option<(u32, usize)> {
    let n = text.len();
    (2..=n.min(4))
        .find_map(|length| first(&text[n - length..]).filter(|&(_, decoded)| decoded == length))
}

/// The code points that a class expression matches, as inclusive ranges.
fn ranges(pattern: &str) -> Vec<(u32, u32)> {
    match regex_syntax::parse(pattern).map(regex_syntax::hir::Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(class))) => {
            class.iter().map(|range| (range.start() as u32, range.end() as u32)).collect()
        }
        other => unreachable!("{pattern} is a class: {other:?}"),
    }
}
