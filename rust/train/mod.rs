//! Counts -> merges: the most frequent pair of neighbours becomes a token, again and again.
//!
//! Nothing is ever recounted. Each pair knows its count and the places where it stands. A merge visits
//! those places, and changes the counts of the pairs around them: what was beside the two parts is now
//! beside the product. Training is the sum of those visits, a small multiple of the distinct text.
//! (Sennrich et al. 2016, arXiv:1508.07909.)

mod queue;
mod word;

use std::collections::{HashMap, HashSet};

use rustc_hash::FxBuildHasher;

use crate::count::Counts;
use crate::special::SpecialTokens;
use crate::vocab::Vocabulary;
use crate::{Error, Monitor, Result};

pub use queue::TieBreak;
use queue::{Entry, Queue, TokenOrder};
use word::{MAX_IDS, Pair, Run, Words};

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
    if options.vocab_size > MAX_IDS {
        return Err(Error::invalid(format!(
            "a vocabulary of {} is too large: {MAX_IDS} ids are the most",
            options.vocab_size
        )));
    }
    let wanted = options.vocab_size - special;
    monitor.start((wanted - 256) as u64);
    let mut trainer = Trainer::new(counts, options.tie_break, monitor)?;
    let mut merges = Vec::new();
    let is_special: HashSet<&[u8]> = options.special_tokens.iter().map(Vec::as_slice).collect();
    let mut made = 256;
    while made < wanted
        && let Some(best) = trainer.best(options.min_frequency.max(1))
    {
        monitor.check()?;
        let before = trainer.ids.len();
        merges.push((best.left, best.right));
        let product = trainer.merge(best);
        if trainer.ids.len() > before && !is_special.contains(trainer.order.token(product)) {
            made += 1;
            monitor.advance(1);
        }
    }
    let bytes = |id: u32| trainer.order.token(id).to_vec();
    let merges = merges.iter().map(|&(left, right)| (bytes(left), bytes(right))).collect();
    let ordinary = trainer.order.into_tokens().into_iter().map(Vec::from);
    let ordinary =
        ordinary.filter(|token| token.len() == 1 || !is_special.contains(token.as_slice()));
    let tokens = options.special_tokens.iter().cloned().chain(ordinary).collect();
    Vocabulary::build(tokens, merges, options.special_tokens.iter().cloned().zip(0..).collect())
}

/// A pair's count and the places where it stands, or stood: merges nearby do not clean up here.
#[derive(Debug, Default)]
struct Occurrences {
    count: u64,
    places: Vec<u32>,
}

struct Trainer {
    words: Words,
    pairs: HashMap<u64, Occurrences, FxBuildHasher>,
    queue: Queue,
    order: TokenOrder,
    ids: HashMap<Box<[u8]>, u32, FxBuildHasher>,
    left: Neighbours,
    right: Neighbours,
}

impl Trainer {
    fn new(counts: &Counts, rule: TieBreak, monitor: &Monitor) -> Result<Self> {
        let words = Words::new(counts, monitor)?;
        // Twice over the text: the sizes of the lists first, so that none has to grow.
        let mut sizes = vec![(0u64, 0usize); 1 << 16];
        words.for_each_pair(|_, left, right, count| {
            let size = &mut sizes[usize::from(left) << 8 | usize::from(right)];
            *size = (size.0 + count, size.1 + 1);
        });
        monitor.check()?;
        let mut found: Vec<Occurrences> = sizes
            .into_iter()
            .map(|(count, size)| Occurrences { count, places: Vec::with_capacity(size) })
            .collect();
        words.for_each_pair(|place, left, right, _| {
            found[usize::from(left) << 8 | usize::from(right)].places.push(place);
        });
        monitor.check()?;
        let order = TokenOrder::new(rule);
        let mut trainer = Self {
            words,
            pairs: HashMap::default(),
            queue: Queue::default(),
            ids: (0..256).map(|id| (order.token(id).into(), id)).collect(),
            order,
            left: Neighbours::default(),
            right: Neighbours::default(),
        };
        for (pair, occurrences) in (0u32..).zip(found).filter(|(_, found)| found.count > 0) {
            trainer.add(pair >> 8, pair & 0xff, occurrences);
        }
        Ok(trainer)
    }

    /// Adds occurrences of a pair, and queues it with the count that it now has.
    fn add(&mut self, left: u32, right: u32, more: Occurrences) {
        let known = self.pairs.entry(key(left, right)).or_default();
        known.count += more.count;
        if known.places.is_empty() {
            known.places = more.places;
        } else {
            // The product was a token before: its places come from several merges, and must ascend.
            known.places.extend(more.places);
            known.places.sort_unstable();
            known.places.dedup();
        }
        self.queue.push(Entry { count: known.count, left, right }, &self.order);
    }

    /// Takes occurrences of a pair away. It stays queued with the count it had, until it is looked at.
    fn subtract(&mut self, left: u32, right: u32, count: u64) {
        let key = key(left, right);
        if let Some(known) = self.pairs.get_mut(&key) {
            debug_assert!(known.count >= count);
            known.count = known.count.saturating_sub(count);
            if known.count == 0 {
                self.pairs.remove(&key);
            }
        }
    }

    /// The pair to merge next, if one occurs often enough.
    fn best(&mut self, min_frequency: u64) -> Option<Entry> {
        loop {
            let entry = *self.queue.peek()?;
            if entry.count < min_frequency {
                return None;
            }
            let count = self.pairs.get(&key(entry.left, entry.right)).map_or(0, |pair| pair.count);
            if count == entry.count {
                return self.queue.pop(&self.order);
            }
            if count == 0 {
                self.queue.pop(&self.order);
            } else if count < entry.count {
                self.queue.replace_first(Entry { count, ..entry }, &self.order);
            } else {
                // It rose since, and was queued again then.
                self.queue.pop(&self.order);
            }
        }
    }

    /// Makes a token of a pair, everywhere, and returns its id.
    fn merge(&mut self, best: Entry) -> u32 {
        let (left, right) = (self.order.token(best.left), self.order.token(best.right));
        let pair = Pair {
            left: best.left,
            right: best.right,
            left_len: left.len() as u32,
            right_len: right.len() as u32,
        };
        let token: Box<[u8]> = [left, right].concat().into();
        let product = match self.ids.get(&token) {
            Some(&known) => known,
            None => {
                let fresh = self.ids.len() as u32;
                self.ids.insert(token.clone(), fresh);
                self.order.push(token);
                fresh
            }
        };
        if let Some(here) = self.pairs.remove(&key(best.left, best.right)) {
            self.visit(&here.places, pair, product);
            self.settle(pair, product);
        }
        product
    }

    /// Merges the pair at its places, and notes what stands beside it.
    fn visit(&mut self, places: &[u32], pair: Pair, product: u32) {
        self.left.prepare(self.ids.len());
        self.right.prepare(self.ids.len());
        let mut run = Run::default();
        for &place in places {
            if let Some(merged) = self.words.merge(place, pair, product) {
                let count = self.words.count(place, &mut run);
                if let Some((id, place)) = merged.left {
                    self.left.note(id, count, place);
                }
                if let Some(id) = merged.right {
                    self.right.note(id, count, place);
                }
            }
        }
    }

    /// Changes the counts of the pairs around: (w, x) (x, y) (y, v) have become (w, z) (z, v).
    fn settle(&mut self, pair: Pair, product: u32) {
        // First all that is added: a product beside another takes away what was just added here.
        let (left, right) = (self.left.take(), self.right.take());
        let mut gone = Vec::with_capacity(left.len() + right.len());
        for (id, beside) in left {
            gone.push((id, pair.left, beside.count));
            self.add(id, product, beside);
        }
        for (id, beside) in right {
            gone.push((pair.right, id, beside.count));
            self.add(product, id, beside);
        }
        for (left, right, count) in gone {
            // The pair itself is gone as a whole, also where it overlapped with itself.
            if (left, right) != (pair.left, pair.right) {
                self.subtract(left, right, count);
            }
        }
    }
}

fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// What was found on one side of a merged pair: per id, how often and where.
#[derive(Debug, Default)]
struct Neighbours {
    /// Id -> its index in `found` and 1, or 0.
    index: Vec<u32>,
    found: Vec<(u32, Occurrences)>,
}

impl Neighbours {
    /// Makes room for ids below `ids`.
    fn prepare(&mut self, ids: usize) {
        self.index.resize(ids, 0);
    }

    #[inline]
    fn note(&mut self, id: u32, count: u64, place: u32) {
        let index = &mut self.index[id as usize];
        if *index == 0 {
            self.found.push((id, Occurrences::default()));
            *index = self.found.len() as u32;
        }
        let occurrences = &mut self.found[*index as usize - 1].1;
        occurrences.count += count;
        occurrences.places.push(place);
    }

    /// What was found, and nothing is left.
    fn take(&mut self) -> Vec<(u32, Occurrences)> {
        for (id, _) in &self.found {
            self.index[*id as usize] = 0;
        }
        std::mem::take(&mut self.found)
    }
}
