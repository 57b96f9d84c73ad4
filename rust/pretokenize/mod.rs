//! Text -> pretokens, the pieces that merges never cross.
//!
//! The GPT-2 pattern has a scanner written by hand; any other pattern is run by a regex engine.
//! Both take any bytes: what is not UTF-8 is split as if it were U+FFFD, and kept as it is.
//! What a pattern does not match is a pretoken too, so that nothing is ever lost.

mod batch;
pub mod classes;
pub mod gpt2;
pub mod pattern;
pub mod simd;

use std::sync::Arc;

use crate::special::SpecialTokens;
use crate::{Monitor, Result};
pub use batch::MAX_BATCH;

use batch::Batch;
use pattern::Pattern;
use simd::Simd;

/// A name for a pattern that models in use were trained with.
#[derive(Debug)]
struct Preset {
    name: &'static str,
    pattern: &'static str,
    /// The same in the dialect of Hugging Face tokenizers, where that differs: there, `$` matches
    /// before every newline, and `{1,3}+` repeats a repetition.
    huggingface: &'static str,
}

const GPT2: &str = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const PRESETS: &[Preset] = &[
    Preset { name: "gpt2", pattern: GPT2, huggingface: GPT2 },
    Preset {
        name: "cl100k",
        pattern: r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        huggingface: r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]|\s+(?!\S)|\s",
    },
    Preset { name: "o200k", pattern: O200K, huggingface: O200K },
    Preset { name: "llama3", pattern: LLAMA3, huggingface: LLAMA3 },
    Preset { name: "qwen2", pattern: QWEN2, huggingface: QWEN2 },
];

/// Names that [`Pretokenizer::new`] takes for a pattern.
pub fn presets() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|preset| preset.name)
}

/// Splits text by a pattern. Cheap to clone, and usable from many threads.
#[derive(Clone, Debug)]
pub struct Pretokenizer {
    pattern: Arc<str>,
    preset: Option<&'static Preset>,
    engine: Engine,
}

#[derive(Clone, Debug)]
enum Engine {
    Gpt2,
    Pattern(Arc<Pattern>),
}

impl Pretokenizer {
    /// Takes a preset's name or a regular expression.
    ///
    /// # Errors
    /// It is neither; the message gives the engine's reason.
    ///
    /// ```
    /// use byteloom::{Monitor, pretokenize::Pretokenizer};
    /// let pretokenizer = Pretokenizer::new("gpt2")?;
    /// let mut pretokens = Vec::new();
    /// pretokenizer.for_each(b"it's 12 o'clock", &Monitor::new(), |pretoken| pretokens.push(pretoken))?;
    /// assert_eq!(pretokens, [&b"it"[..], b"'s", b" 12", b" o", b"'", b"clock"]);
    /// # Ok::<(), byteloom::Error>(())
    /// ```
    pub fn new(pattern: &str) -> Result<Self> {
        let preset = PRESETS
            .iter()
            .find(|preset| [preset.name, preset.pattern, preset.huggingface].contains(&pattern));
        let pattern = preset.map_or(pattern, |preset| preset.pattern);
        let engine = match preset {
            Some(preset) if preset.name == "gpt2" => {
                // Made now, so that splitting never needs memory.
                classes::Classes::get();
                Engine::Gpt2
            }
            _ => Engine::Pattern(Arc::new(Pattern::new(pattern)?)),
        };
        Ok(Self { pattern: pattern.into(), preset, engine })
    }

    /// The regular expression.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The regular expression as Hugging Face tokenizers has to be told it.
    #[must_use]
    pub fn huggingface_pattern(&self) -> &str {
        self.preset.map_or(&self.pattern, |preset| preset.huggingface)
    }

    /// The preset's name, if it is one.
    #[must_use]
    pub fn preset(&self) -> Option<&str> {
        self.preset.map(|preset| preset.name)
    }

    /// Calls `emit` with each pretoken of `text` in order; joined, they are the text.
    ///
    /// # Errors
    /// The monitor was cancelled, or the regex engine gives up on this text.
    pub fn for_each<'t>(
        &self,
        text: &'t [u8],
        monitor: &Monitor,
        mut emit: impl FnMut(&'t [u8]),
    ) -> Result<()> {
        self.for_each_batch(text, monitor, |mut start, ends| {
            for &end in ends {
                emit(&text[start..end]);
                start = end;
            }
        })
    }

    /// Hands over the pretokens of `text` in order, at most [`MAX_BATCH`] at a time: `consume` gets
    /// the start of the first and the end of each, which is the start of the next.
    ///
    /// # Errors
    /// As [`Pretokenizer::for_each`].
    #[inline]
    pub fn for_each_batch(
        &self,
        text: &[u8],
        monitor: &Monitor,
        consume: impl FnMut(usize, &[usize]),
    ) -> Result<()> {
        match &self.engine {
            Engine::Gpt2 => gpt2::for_each_batch(text, Simd::get(), monitor, consume),
            Engine::Pattern(pattern) => {
                let mut batch = Batch::new(consume);
                let mut end = 0;
                pattern.for_each(text, monitor, |pretoken| {
                    end += pretoken.len();
                    batch.push(end);
                })?;
                batch.finish();
                Ok(())
            }
        }
    }

    /// The last place at or before `limit` where `text` can be cut so that both parts, special tokens
    /// and all, split on their own as they do together; never 0 or the end.
    ///
    /// `text` must begin where a text or a part so cut begins, and hold at least
    /// [`Pretokenizer::lookahead`] bytes behind `limit` unless it ends where the text ends.
    #[must_use]
    pub fn last_cut(&self, text: &[u8], limit: usize, special: &SpecialTokens) -> Option<usize> {
        let limit = limit.min(text.len().saturating_sub(1));
        let within = |rule: &dyn Fn(&[u8], usize) -> bool| {
            (1..=limit).rev().find(|&at| rule(text, at) && !special.straddled(text, at))
        };
        match (&self.engine, self.preset) {
            (Engine::Gpt2, _) => within(&gpt2::is_cut),
            (_, Some(_)) => within(&is_preset_cut),
            // What an unknown expression looks at is unknown: special tokens alone stop it.
            _ => None,
        }
        .or_else(|| special.last_border(text, limit))
    }

    /// How many bytes behind a place decide whether text can be cut there.
    #[must_use]
    pub fn lookahead(&self, special: &SpecialTokens) -> usize {
        // A space and a character of four bytes; or the longest special token.
        special.max_len().max(8)
    }
}

/// Where texts can be cut under every preset: before a space between an ASCII letter or digit and an
/// ASCII letter, and between a newline and what is neither whitespace nor a slash, which o200k joins to
/// newlines behind punctuation.
fn is_preset_cut(text: &[u8], at: usize) -> bool {
    match (text[at - 1], text[at]) {
        (before, b' ') => {
            before.is_ascii_alphanumeric() && text.get(at + 1).is_some_and(u8::is_ascii_alphabetic)
        }
        (b'\n', after) => {
            after != b'/' && classes::Classes::get().first(&text[at..]).0 != classes::Class::Space
        }
        _ => false,
    }
}
