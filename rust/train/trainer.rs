//! Merge after merge, with everything that has to be known for the next one.

use std::collections::HashSet;

use super::TrainOptions;
use super::neighbours::Neighbours;
use super::pairs::Pairs;
use super::queue::{Entry, Queue, TokenOrder};
use super::survey::survey;
use super::symbol::Symbol;
use super::words::{Run, Words};
use crate::count::Counts;
use crate::{Monitor, Result};

/// Places ahead whose memory is asked for.
const AHEAD: usize = 16;

/// From one round to the next the floor falls to a so manieth.
const FALL: u64 = 32;

/// The words, the pairs that are frequent enough to come next, and their queue.
///
/// Training goes in rounds. In each only pairs from a floor on are known; when none is left, words that
/// have become one token are taken out, the floor falls, and what is left is surveyed anew. Nearly all
/// pairs that ever arise are too rare to be merged, and cost nothing this way.
pub struct Trainer<S> {
    words: Words<S>,
    pairs: Pairs,
    queue: Queue,
    order: TokenOrder,
    left: Neighbours,
    right: Neighbours,
    /// No pair that occurs less often is merged.
    least: u64,
}

/// Merges in order of creation, as ids, and the bytes of all ids.
pub type Trained = (Vec<(u32, u32)>, Vec<Box<[u8]>>);

impl<S: Symbol> Trainer<S> {
    /// Lays out the words.
    ///
    /// # Errors
    /// What [`Words::new`] refuses.
    pub fn new(counts: &Counts, options: &TrainOptions, monitor: &Monitor) -> Result<Self> {
        Ok(Self {
            words: Words::new(counts, monitor)?,
            pairs: Pairs::new(u64::MAX),
            queue: Queue::default(),
            order: TokenOrder::new(options.tie_break),
            left: Neighbours::default(),
            right: Neighbours::default(),
            least: options.min_frequency.max(1),
        })
    }

    /// Merges until the vocabulary is full or no pair is left.
    ///
    /// # Errors
    /// The monitor was cancelled.
    pub fn run(mut self, options: &TrainOptions, monitor: &Monitor) -> Result<Trained> {
        let special: HashSet<&[u8]> = options.special_tokens.iter().map(Vec::as_slice).collect();
        let wanted = options.vocab_size - special.len() - 256;
        let mut merges = Vec::with_capacity(wanted);
        let mut made = 0;
        while made < wanted
            && let Some(best) = self.best(monitor)?
        {
            monitor.check()?;
            merges.push((best.left, best.right));
            let product = self.merge(best);
            // A special token that text merges into does not fill the vocabulary.
            if !special.contains(self.order.token(product)) {
                made += 1;
                monitor.advance(1);
            }
        }
        Ok((merges, self.order.into_tokens()))
    }

    /// The pair to merge next, if one occurs often enough.
    fn best(&mut self, monitor: &Monitor) -> Result<Option<Entry>> {
        loop {
            while let Some(&entry) = self.queue.peek() {
                let count = self.pairs.count(entry.left, entry.right);
                if count == entry.count {
                    return Ok(self.queue.pop(&self.order));
                }
                // It is queued with the count that it once had.
                if count == 0 {
                    self.queue.pop(&self.order);
                } else {
                    self.queue.replace_first(Entry { count, ..entry }, &self.order);
                }
            }
            if self.pairs.floor() <= self.least {
                return Ok(None);
            }
            monitor.check()?;
            self.next_round();
        }
    }

    /// Lowers the floor.
    fn next_round(&mut self) {
        self.words.compact();
        let floor = match self.pairs.floor() {
            u64::MAX => self.words.most_frequent_pair() / FALL,
            floor => floor / FALL,
        };
        self.pairs = Pairs::new(u64::MAX);
        self.pairs = survey(&self.words, floor.max(self.least));
        for (left, right, count) in self.pairs.iter() {
            self.queue.push(Entry { count, left, right }, &self.order);
        }
    }

    /// Makes a token of a pair, everywhere, and returns its id.
    fn merge(&mut self, Entry { left, right, .. }: Entry) -> u32 {
        let token = [self.order.token(left), self.order.token(right)].concat();
        let product = self.order.push(token.into());
        self.words.push_token(left, right);
        self.visit(left, right, product);
        self.settle(left, right, product);
        product
    }

    /// Merges the pair at its places, and notes what stands beside it.
    fn visit(&mut self, left: u32, right: u32, product: u32) {
        let ids = product as usize + 1;
        self.left.prepare(ids);
        self.right.prepare(ids);
        let places = self.pairs.take(left, right).places;
        let mut run = Run::default();
        for (index, &place) in places.iter().enumerate() {
            if let Some(&later) = places.get(index + AHEAD) {
                self.words.prefetch(later);
            }
            if let Some(merged) = self.words.merge(place, left, right, product) {
                let count = self.words.count(place, &mut run);
                if let Some((id, place)) = merged.left {
                    self.left.note(id, place, count);
                }
                if let Some(id) = merged.right {
                    self.right.note(id, place, count);
                }
            }
        }
    }

    /// Changes the counts of the pairs around: (w, x) (x, y) (y, v) have become (w, z) (z, v).
    fn settle(&mut self, left: u32, right: u32, product: u32) {
        let floor = self.pairs.floor();
        let (before, behind) = (self.left.take(floor), self.right.take(floor));
        // First all that is added: a product beside another takes away what was just added here.
        let before_product = before.often.into_iter().map(|(id, found)| (id, product, found));
        let behind_product = behind.often.into_iter().map(|(id, found)| (product, id, found));
        for (left, right, found) in before_product.chain(behind_product) {
            self.queue.push(Entry { count: found.count, left, right }, &self.order);
            self.pairs.insert(left, right, found);
        }
        // The pair itself is gone as a whole, also where it overlapped with itself.
        before.counts.into_iter().for_each(|(id, count)| self.pairs.subtract(id, left, count));
        behind.counts.into_iter().for_each(|(id, count)| self.pairs.subtract(right, id, count));
    }
}
