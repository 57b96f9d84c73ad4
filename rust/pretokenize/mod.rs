//! Text -> pretokens, the pieces that merges never cross.
//!
//! The presets' patterns have scanners written by hand; any other pattern is run by a regex engine.
//! Both take any bytes: what is not UTF-8 is split as if it were U+FFFD, and kept as it is.
//! What a pattern does not match is a pretoken too, so that nothing is ever lost.

mod batch;
mod bits;
mod blocks;
pub mod categories;
mod cl100k;
pub mod classes;
mod gpt2;
mod o200k;
pub mod pattern;
pub mod simd;
mod unicode;

use std::ops::Range;
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
    /// Names that others have for it, and other expressions that say the same.
    also: &'static [&'static str],
    scanner: Scanner,
}

const GPT2: &str = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const PRESETS: &[Preset] = &[
    Preset {
        name: "gpt2",
        pattern: GPT2,
        huggingface: GPT2,
        also: &[
            "r50k_base",
            "p50k_base",
            "p50k_edit",
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
        ],
        scanner: Scanner::Gpt2,
    },
    Preset {
        name: "cl100k",
        pattern: r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        huggingface: r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]|\s+(?!\S)|\s",
        also: &["cl100k_base"],
        scanner: Scanner::Cl100k,
    },
    Preset {
        name: "o200k",
        pattern: O200K,
        huggingface: O200K,
        also: &["o200k_base", "o200k_harmony"],
        scanner: Scanner::O200k,
    },
    Preset {
        name: "llama3",
        pattern: LLAMA3,
        huggingface: LLAMA3,
        also: &[],
        scanner: Scanner::Llama3,
    },
    Preset {
        name: "qwen2",
        pattern: QWEN2,
        huggingface: QWEN2,
        also: &["qwen3"],
        scanner: Scanner::Qwen2,
    },
    Preset {
        name: "qwen3_5",
        pattern: QWEN35,
        huggingface: QWEN35,
        also: &[],
        scanner: Scanner::Qwen35,
    },
    Preset {
        name: "tekken",
        pattern: TEKKEN,
        huggingface: TEKKEN,
        also: &[],
        scanner: Scanner::Tekken,
    },
];

impl Preset {
    /// Whether a name or an expression means this preset.
    fn is(&self, pattern: &str) -> bool {
        [self.name, self.pattern, self.huggingface].contains(&pattern)
            || self.also.contains(&pattern)
    }
}

/// Names that [`Pretokenizer::new`] takes for a pattern; those of tiktoken's encodings mean the same.
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
    Scanner(Scanner),
    Pattern(Arc<Pattern>),
}

/// A scanner written by hand.
#[derive(Clone, Copy, Debug)]
enum Scanner {
    Gpt2,
    Cl100k,
    Llama3,
    Qwen2,
    Qwen35,
    O200k,
    Tekken,
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
        let preset = PRESETS.iter().find(|preset| preset.is(pattern));
        let pattern = preset.map_or(pattern, |preset| preset.pattern);
        let engine = match preset {
            Some(preset) => {
                // Made now, so that splitting never needs memory.
                classes::Classes::get();
                categories::CategoryTable::get();
                Engine::Scanner(preset.scanner)
            }
            None => Engine::Pattern(Arc::new(Pattern::new(pattern)?)),
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
        self.for_each_batch_by(Simd::get(), text, monitor, consume)
    }

    /// The same by another way of scanning, if the pattern is a preset's; byte after byte, if this
    /// processor cannot do it that way.
    ///
    /// # Errors
    /// As [`Pretokenizer::for_each`].
    #[inline]
    pub fn for_each_batch_by(
        &self,
        simd: Simd,
        text: &[u8],
        monitor: &Monitor,
        consume: impl FnMut(usize, &[usize]),
    ) -> Result<()> {
        use cl100k::{Cl100k, Llama3, Qwen2, Qwen35};
        use o200k::{O200k, Tekken};

        let scanner = match &self.engine {
            Engine::Scanner(scanner) => scanner,
            Engine::Pattern(pattern) => {
                let mut batch = Batch::new(consume);
                pattern.for_each(text, monitor, |pretoken| batch.push(pretoken))?;
                batch.finish();
                return Ok(());
            }
        };
        match scanner {
            Scanner::Gpt2 => gpt2::for_each_batch(text, simd, monitor, consume),
            Scanner::Cl100k => cl100k::for_each_batch::<Cl100k>(text, simd, monitor, consume),
            Scanner::Llama3 => cl100k::for_each_batch::<Llama3>(text, simd, monitor, consume),
            Scanner::Qwen2 => cl100k::for_each_batch::<Qwen2>(text, simd, monitor, consume),
            Scanner::Qwen35 => cl100k::for_each_batch::<Qwen35>(text, simd, monitor, consume),
            Scanner::O200k => cl100k::for_each_batch::<O200k>(text, simd, monitor, consume),
            Scanner::Tekken => cl100k::for_each_batch::<Tekken>(text, simd, monitor, consume),
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
        self.local_cut(text, 1..limit + 1, special).or_else(|| special.last_border(text, limit))
    }

    /// The last of some places where text can be cut, as far as the [`Pretokenizer::lookahead`] bytes
    /// before and behind tell, whatever stands elsewhere; `text` holds them, or begins or ends where they
    /// would be missing.
    #[must_use]
    pub fn local_cut(
        &self,
        text: &[u8],
        mut places: Range<usize>,
        special: &SpecialTokens,
    ) -> Option<usize> {
        let is_cut = match self.engine {
            Engine::Scanner(Scanner::Gpt2) => gpt2::is_cut,
            Engine::Scanner(_) => cl100k::is_cut,
            // What an unknown expression looks at is unknown: special tokens alone stop it.
            Engine::Pattern(_) => return None,
        };
        places.rfind(|&at| is_cut(text, at) && !special.straddled(text, at))
    }

    /// Whether [`Pretokenizer::local_cut`] can find any.
    #[must_use]
    pub fn cuts_are_local(&self) -> bool {
        matches!(self.engine, Engine::Scanner(_))
    }

    /// How many bytes before and behind a place decide whether text can be cut there.
    #[must_use]
    pub fn lookahead(&self, special: &SpecialTokens) -> usize {
        // A space and a character of four bytes, or two characters; or the longest special token.
        special.max_len().max(8)
    }
}
