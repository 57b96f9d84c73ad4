//! What several tests need: texts to try, and short ways to call the engine.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use byteloom::Monitor;
use byteloom::count::Counts;
use byteloom::pretokenize::{Pretokenizer, presets};
use byteloom::special::{Segment, SpecialTokens};
use proptest::prelude::*;

/// A configuration of `cases` cases, or of as many as `PROPTEST_CASES` says if that is less (for runs
/// under valgrind and the like), that writes no files of its own.
pub fn config(cases: u32) -> ProptestConfig {
    let most = std::env::var("PROPTEST_CASES").ok().and_then(|most| most.parse().ok());
    ProptestConfig {
        cases: cases.min(most.unwrap_or(u32::MAX)),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Contractions and what looks like them, whitespace of every kind, all classes of characters, and
/// bytes that are no UTF-8: overlong forms, surrogates, sequences cut short, numbers too large.
const FRAGMENTS: &[&[u8]] = &[
    b"a",
    b"b",
    b"s",
    b"l",
    b"the",
    b"S",
    b"LL",
    b"1",
    b"1234",
    b",",
    b"!?",
    b"/",
    b"_",
    b"'",
    b"''",
    b"'s",
    b"'S",
    b"'l",
    b"'ll",
    b"'ve",
    b"'re",
    b"'v",
    b" ",
    b" ",
    b"  ",
    b"\n",
    b"\n\n",
    b"\r\n",
    b"\t",
    b"\x0b",
    b"\x1c",
    b"\0",
    "é".as_bytes(),
    "ſ".as_bytes(),
    "ǅ".as_bytes(),
    "ß".as_bytes(),
    "Ж".as_bytes(),
    "日本".as_bytes(),
    "२".as_bytes(),
    "²".as_bytes(),
    "Ⅻ".as_bytes(),
    "𝟘".as_bytes(),
    "𐐀".as_bytes(),
    "\u{301}".as_bytes(),
    "\u{a0}".as_bytes(),
    "\u{85}".as_bytes(),
    "\u{2003}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{3000}".as_bytes(),
    "\u{200b}".as_bytes(),
    "\u{feff}".as_bytes(),
    "\u{fffd}".as_bytes(),
    "’".as_bytes(),
    "🦀".as_bytes(),
    "👩‍🚀".as_bytes(),
    b"\x80",
    b"\xa9",
    b"\xc3",
    b"\xff",
    b"\xc0\x80",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xf0\x9f\xa6",
    b"\xf4\x90\x80\x80",
];

/// Texts made of fragments that patterns may trip over; valid UTF-8 or not.
pub fn nasty(fragments: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(FRAGMENTS), fragments).prop_map(|f| f.concat())
}

/// Texts of bytes from an alphabet, so short that they are alike.
pub fn over(alphabet: &'static [u8], len: std::ops::Range<usize>) -> BoxedStrategy<Vec<u8>> {
    prop::collection::vec(prop::sample::select(alphabet), len).boxed()
}

/// Calls `f` with every string of up to `max` symbols of an alphabet.
pub fn every_string(alphabet: &[&str], max: u32, mut f: impl FnMut(&str)) {
    let mut text = String::new();
    for length in 0..=max {
        for number in 0..alphabet.len().pow(length) {
            let mut rest = number;
            text.clear();
            for _ in 0..length {
                text.push_str(alphabet[rest % alphabet.len()]);
                rest /= alphabet.len();
            }
            f(&text);
        }
    }
}

/// A part of a text once it is split: a special token's index, or a pretoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A special token.
    Special(usize),
    /// A pretoken.
    Pretoken(Vec<u8>),
}

/// Every preset and its name, compiled once.
pub fn all_presets() -> impl Iterator<Item = (&'static str, &'static Pretokenizer)> {
    static ALL: LazyLock<Vec<Pretokenizer>> =
        LazyLock::new(|| presets().map(|name| Pretokenizer::new(name).unwrap()).collect());
    presets().zip(ALL.iter())
}

/// The pretokens of a text without special tokens.
pub fn pretokens(pretokenizer: &Pretokenizer, text: &[u8]) -> Vec<Vec<u8>> {
    let mut pretokens = Vec::new();
    pretokenizer.for_each(text, &Monitor::new(), |part| pretokens.push(part.to_vec())).unwrap();
    pretokens
}

/// Special tokens and pretokens of a text.
pub fn parts(pretokenizer: &Pretokenizer, special: &SpecialTokens, text: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    for segment in special.split(text) {
        match segment {
            Segment::Special(index) => parts.push(Part::Special(index)),
            Segment::Text(text) => {
                parts.extend(pretokens(pretokenizer, text).into_iter().map(Part::Pretoken));
            }
        }
    }
    parts
}

/// Special tokens of texts.
pub fn special_tokens(tokens: &[&str]) -> SpecialTokens {
    SpecialTokens::new(tokens).unwrap()
}

/// Writes a file of a folder.
pub fn file(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A monitor that was told to stop.
pub fn cancelled() -> Monitor {
    let monitor = Monitor::new();
    monitor.cancel();
    monitor
}

/// Adds the pretokens of a text one by one.
pub fn count_text(
    text: &[u8],
    pretokenizer: &Pretokenizer,
    special: &SpecialTokens,
    counts: &mut Counts,
) {
    for segment in special.split(text) {
        if let Segment::Text(text) = segment {
            let add = |pretoken: &[u8]| counts.add(pretoken, 1);
            pretokenizer.for_each(text, &Monitor::new(), add).unwrap();
        }
    }
}
