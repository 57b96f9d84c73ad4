//! Presets with their oracle, and texts in parts.

use std::sync::LazyLock;

use byteloom::Monitor;
use byteloom::pretokenize::{Pretokenizer, presets};
use byteloom::special::{Segment, SpecialTokens};
use fancy_regex::Regex;

use crate::oracle;

/// A preset, ready to split fast and slowly.
#[derive(Debug)]
pub struct Preset {
    /// The engine's.
    pub pretokenizer: Pretokenizer,
    /// The same pattern, run by the regex engine.
    pub regex: Regex,
}

/// A preset by any number.
pub fn preset(number: u8) -> &'static Preset {
    static ALL: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        let compile = |name| {
            let pretokenizer = Pretokenizer::new(name).expect("a preset compiles");
            let regex = Regex::new(pretokenizer.pattern()).expect("so does its pattern");
            Preset { pretokenizer, regex }
        };
        presets().map(compile).collect()
    });
    &ALL[usize::from(number) % ALL.len()]
}

/// The pretokenizer of a pattern that was read from a file. Presets are not compiled again: that takes
/// longer than all else.
pub fn pretokenizer(pattern: &str) -> byteloom::Result<Pretokenizer> {
    let mut known = (0..presets().count() as u8).map(|number| &preset(number).pretokenizer);
    let is_it = |known: &&Pretokenizer| {
        known.preset() == Some(pattern)
            || [known.pattern(), known.huggingface_pattern()].contains(&pattern)
    };
    let known = known.find(is_it).cloned();
    known.map_or_else(|| Pretokenizer::new(pattern), Ok)
}

/// A part of a text: a special token's index or a pretoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A special token.
    Special(usize),
    /// A pretoken.
    Pretoken(Vec<u8>),
}

/// The parts of a text by the engine. `None` where it gives up, as a regex engine may.
pub fn parts(
    pretokenizer: &Pretokenizer,
    special: &SpecialTokens,
    text: &[u8],
) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    for segment in special.split(text) {
        match segment {
            Segment::Special(index) => parts.push(Part::Special(index)),
            Segment::Text(text) => {
                let emit = |pretoken: &[u8]| parts.push(Part::Pretoken(pretoken.to_vec()));
                pretokenizer.for_each(text, &Monitor::new(), emit).ok()?;
            }
        }
    }
    Some(parts)
}

/// The parts of a text by the definitions.
pub fn slow_parts(regex: &Regex, special: &[Vec<u8>], text: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    for segment in oracle::split::special(special, text) {
        match segment {
            Segment::Special(index) => parts.push(Part::Special(index)),
            Segment::Text(text) => {
                parts.extend(oracle::split::pattern(regex, text).into_iter().map(Part::Pretoken));
            }
        }
    }
    parts
}

/// The parts of a text that is cut into pieces of about `size` bytes wherever the engine says that it
/// can be; only what a reader of a file would have seen by then is shown to it.
pub fn parts_in_pieces(
    pretokenizer: &Pretokenizer,
    special: &SpecialTokens,
    text: &[u8],
    size: usize,
) -> Option<Vec<Part>> {
    let lookahead = pretokenizer.lookahead(special);
    let mut found = Vec::new();
    let (mut rest, mut wanted) = (text, size.max(1));
    while wanted + lookahead <= rest.len() {
        match pretokenizer.last_cut(&rest[..wanted + lookahead], wanted, special) {
            Some(cut) => {
                assert!((1..=wanted).contains(&cut), "cut at {cut}, asked for 1 ..= {wanted}");
                found.extend(parts(pretokenizer, special, &rest[..cut])?);
                (rest, wanted) = (&rest[cut..], size.max(1));
            }
            None => wanted *= 2,
        }
    }
    found.extend(parts(pretokenizer, special, rest)?);
    Some(found)
}
