//! Counts -> merges: the most frequent pair of neighbours becomes a token, again and again.
//!
//! Nothing is ever recounted. Each pair knows its count and the places where it stands. A merge visits
//! those places, and changes the counts of the pairs around them: what was beside the two parts is now
//! beside the product. Training is the sum of those visits, a small multiple of the distinct text.
//! (Sennrich et al. 2016, arXiv:1508.07909.)

mod neighbours;
mod pairs;
mod queue;
mod survey;
mod symbol;
mod trainer;
mod words;

use std::collections::HashSet;

use crate::count::Counts;
use crate::special::SpecialTokens;
use crate::vocab::Vocabulary;
use crate::{Error, Monitor, Result};

pub use queue::TieBreak;
use symbol::Symbol;
use trainer::Trainer;

/// What is to be trained.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Tokens wanted, special tokens and the 256 bytes included.
    pub vocab_size: usize,
    /// They take the first ids.
    pub special_tokens: Vec<Vec<u8>>,
    /// Which of two pairs with equal counts comes first.
    pub tie_break: TieBreak,
    /// Pairs that occur less often are not merged.
    pub min_frequency: u64,
}

/// Trains a vocabulary: special tokens, the 256 bytes, and merges until it is full or no pair is left.
///
/// Tokens are their bytes. A merge whose product is a token already gives that token, is listed among
/// the merges, and does not fill the vocabulary; it may also be a special token. Only a special token of
/// one byte has the same bytes as another id.
///
/// # Errors
/// A vocabulary that does not hold the bytes and special tokens, an empty or repeated special token,
/// counts beyond measure, or the monitor was cancelled.
pub fn train(counts: &Counts, options: &TrainOptions, monitor: &Monitor) -> Result<Vocabulary> {
    SpecialTokens::new(&options.special_tokens)?;
    let special = options.special_tokens.len();
    if options.vocab_size < 256 + special {
        return Err(Error::invalid(format!(
            "a vocabulary of {} is too small: 256 bytes and {special} special tokens need {}",
            options.vocab_size,
            256 + special
        )));
    }
    if options.vocab_size + special > u32::LIMIT {
        return Err(Error::invalid(format!(
            "a vocabulary of {} is too large: {} ids are the most",
            options.vocab_size,
            u32::LIMIT - special
        )));
    }
    monitor.start((options.vocab_size - special - 256) as u64);
    // Special tokens that text merges into are made too, and do not fill the vocabulary.
    let (merges, tokens) = if options.vocab_size + special < u16::LIMIT {
        Trainer::<u16>::new(counts, options, monitor)?.run(options, monitor)?
    } else {
        Trainer::<u32>::new(counts, options, monitor)?.run(options, monitor)?
    };
    let bytes = |id: u32| tokens[id as usize].to_vec();
    let merges = merges.iter().map(|&(left, right)| (bytes(left), bytes(right))).collect();
    let is_special: HashSet<&[u8]> = options.special_tokens.iter().map(Vec::as_slice).collect();
    let ordinary = tokens.into_iter().map(Vec::from);
    let ordinary =
        ordinary.filter(|token| token.len() == 1 || !is_special.contains(token.as_slice()));
    let tokens = options.special_tokens.iter().cloned().chain(ordinary).collect();
    Vocabulary::build(tokens, merges, options.special_tokens.iter().cloned().zip(0..).collect())
}
