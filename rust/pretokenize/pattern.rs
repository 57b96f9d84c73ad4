//! Any pattern, by a regex engine with look-around.

use fancy_regex::Regex;

use crate::{Error, Monitor, Result};

/// Matches between two looks at the monitor.
const STRIDE: usize = 1 << 12;

/// A compiled regular expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// The expression does not compile; the message gives the engine's reason.
    pub fn new(expression: &str) -> Result<Self> {
        match Regex::new(expression) {
            Ok(regex) => Ok(Self { regex }),
            Err(error) => Err(Error::invalid(format!(
                "the pattern {expression:?} is neither a preset's name nor a regular expression: {error}"
            ))),
        }
    }

    /// Calls `emit` with each match, and with what lies between matches, in order; joined, they are
    /// the text. Empty matches are passed over.
    ///
    /// # Errors
    /// The engine gave up on this text (it limits backtracking); the message says where. Or the
    /// monitor was cancelled.
    pub fn for_each<'t>(
        &self,
        text: &'t [u8],
        monitor: &Monitor,
        mut emit: impl FnMut(&'t [u8]),
    ) -> Result<()> {
        if let Ok(valid) = std::str::from_utf8(text) {
            return self.for_each_border(valid, monitor, |start, end| emit(&text[start..end]));
        }
        let lossy = Lossy::new(text);
        let mut cursor = Cursor::default();
        self.for_each_border(&lossy.text, monitor, |start, end| {
            let start = cursor.original(&lossy, start);
            let end = cursor.original(&lossy, end);
            emit(&text[start..end]);
        })
    }

    /// Calls `emit` with the borders of each match and gap.
    fn for_each_border(
        &self,
        text: &str,
        monitor: &Monitor,
        mut emit: impl FnMut(usize, usize),
    ) -> Result<()> {
        let mut done = 0;
        for (index, found) in self.regex.find_iter(text).enumerate() {
            if index % STRIDE == 0 {
                monitor.check()?;
            }
            let found = found.map_err(|error| {
                Error::invalid(format!(
                    "the pattern {:?} fails at byte {done} of a text of {} bytes: {error}",
                    self.regex.as_str(),
                    text.len(),
                ))
            })?;
            // Look-behind could let a match begin before the last one's end; such a part is done.
            let start = found.start().max(done);
            if found.end() <= start {
                continue;
            }
            if start > done {
                emit(done, start);
            }
            emit(start, found.end());
            done = found.end();
        }
        if done < text.len() {
            emit(done, text.len());
        }
        Ok(())
    }
}

/// A text made valid: each part that is no UTF-8 is replaced by U+FFFD.
struct Lossy {
    text: String,
    /// Borders of the valid and the replaced parts: (in `text`, in the original), ascending.
    borders: Vec<(usize, usize)>,
}

impl Lossy {
    fn new(original: &[u8]) -> Self {
        let mut lossy = Self { text: String::with_capacity(original.len()), borders: vec![(0, 0)] };
        let mut at = 0;
        for chunk in original.utf8_chunks() {
            lossy.text.push_str(chunk.valid());
            at += chunk.valid().len();
            lossy.borders.push((lossy.text.len(), at));
            if !chunk.invalid().is_empty() {
                lossy.text.push(char::REPLACEMENT_CHARACTER);
                at += chunk.invalid().len();
                lossy.borders.push((lossy.text.len(), at));
            }
        }
        lossy
    }
}

/// Walks along [`Lossy::borders`], since the borders of pretokens only ascend.
#[derive(Default)]
struct Cursor {
    part: usize,
}

impl Cursor {
    /// The place in the original text of a place between two characters of the lossy one.
    fn original(&mut self, lossy: &Lossy, at: usize) -> usize {
        while lossy.borders.get(self.part + 1).is_some_and(|&(end, _)| end <= at) {
            self.part += 1;
        }
        let (start, original) = lossy.borders[self.part];
        original + (at - start)
    }
}
