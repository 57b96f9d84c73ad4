//! Special tokens: text is split at them first, and they are never counted or merged into.

use std::collections::HashSet;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::{Error, Result};

/// A set of special tokens, compiled for one pass over a text. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SpecialTokens {
    tokens: Arc<[Vec<u8>]>,
    /// Leftmost-longest matches; `None` where there are no tokens.
    matcher: Option<AhoCorasick>,
    /// Every occurrence, overlapping ones too: where a text must not be cut.
    occurrences: Option<AhoCorasick>,
    max_len: usize,
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'t> {
    /// Ordinary text, never empty.
    Text(&'t [u8]),
    /// A special token, by its index in [`SpecialTokens::tokens`].
    Special(usize),
}

impl SpecialTokens {
    /// Compiles a set of tokens.
    ///
    /// # Errors
    /// An empty token, or one that is given twice; the message says which.
    pub fn new<T: AsRef<[u8]>>(tokens: &[T]) -> Result<Self> {
        let mut seen = HashSet::new();
        for (index, token) in tokens.iter().map(AsRef::as_ref).enumerate() {
            let shown = String::from_utf8_lossy(token);
            if token.is_empty() {
                return Err(Error::invalid(format!("special token {index} is empty")));
            }
            if !seen.insert(token) {
                return Err(Error::invalid(format!("special token {shown:?} is given twice")));
            }
        }
        let build = |kind| {
            if tokens.is_empty() {
                return Ok(None);
            }
            AhoCorasick::builder().match_kind(kind).build(tokens).map(Some).map_err(|error| {
                Error::invalid(format!("the special tokens are too many or too long: {error}"))
            })
        };
        Ok(Self {
            matcher: build(MatchKind::LeftmostLongest)?,
            occurrences: build(MatchKind::Standard)?,
            max_len: tokens.iter().map(|token| token.as_ref().len()).max().unwrap_or(0),
            tokens: tokens.iter().map(|token| token.as_ref().to_vec()).collect(),
        })
    }

    /// The tokens in the order given.
    #[must_use]
    pub fn tokens(&self) -> &[Vec<u8>] {
        &self.tokens
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Bytes of the longest token; 0 where there are none.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// Splits a text at the leftmost special token, the longest of those that begin there, and goes
    /// on behind it. The parts, joined, are the text.
    ///
    /// ```
    /// use byteloom::special::{Segment, SpecialTokens};
    /// let special = SpecialTokens::new(&["<|a|>", "<|a|><|a|>"])?;
    /// let parts: Vec<_> = special.split(b"x<|a|><|a|><|a|>").collect();
    /// assert_eq!(parts, [Segment::Text(b"x"), Segment::Special(1), Segment::Special(0)]);
    /// # Ok::<(), byteloom::Error>(())
    /// ```
    pub fn split<'t>(&self, text: &'t [u8]) -> impl Iterator<Item = Segment<'t>> {
        let mut matches = self.matcher.as_ref().map(|matcher| matcher.find_iter(text));
        let mut pending = None;
        let mut end = 0;
        std::iter::from_fn(move || {
            if let Some(special) = pending.take() {
                return Some(special);
            }
            match matches.as_mut().and_then(Iterator::next) {
                Some(found) => {
                    let before = &text[end..found.start()];
                    end = found.end();
                    let special = Segment::Special(found.pattern().as_usize());
                    if before.is_empty() {
                        return Some(special);
                    }
                    pending = Some(special);
                    Some(Segment::Text(before))
                }
                None => {
                    let rest = &text[end..];
                    end = text.len();
                    (!rest.is_empty()).then_some(Segment::Text(rest))
                }
            }
        })
    }

    /// Whether any occurrence of a token lies across `at`, whether or not [`SpecialTokens::split`]
    /// would take it.
    #[must_use]
    pub fn straddled(&self, text: &[u8], at: usize) -> bool {
        let from = at.saturating_sub(self.max_len);
        let to = (at + self.max_len).min(text.len());
        self.occurrences.as_ref().is_some_and(|finder| {
            finder
                .find_overlapping_iter(&text[from..to])
                .any(|found| from + found.start() < at && at < from + found.end())
        })
    }

    /// The last place at or before `limit`, but not 0, where a token that [`SpecialTokens::split`]
    /// takes begins or ends and no occurrence lies across: the parts on both sides split on their own
    /// as they do together. An occurrence that is not taken is ordinary text, and stops no pretoken.
    #[must_use]
    pub fn last_border(&self, text: &[u8], limit: usize) -> Option<usize> {
        let matcher = self.matcher.as_ref()?;
        let mut borders: Vec<usize> = matcher
            .find_iter(text)
            .take_while(|found| found.start() <= limit)
            .flat_map(|found| [found.start(), found.end()])
            .filter(|border| (1..=limit).contains(border))
            .collect();
        borders.dedup();
        borders.into_iter().rev().find(|&at| !self.straddled(text, at))
    }
}
