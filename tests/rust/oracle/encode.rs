//! Encoding by the definition: of all adjacent pairs, join that of the lowest rank, the leftmost of
//! those; search all over again.

use std::collections::HashMap;

use byteloom::vocab::Vocabulary;

/// A vocabulary by its bytes.
pub struct Encoder<'v> {
    ranks: HashMap<(&'v [u8], &'v [u8]), usize>,
    ids: HashMap<&'v [u8], u32>,
}

impl<'v> Encoder<'v> {
    /// Reads merges and ids.
    pub fn new(vocabulary: &'v Vocabulary) -> Self {
        let mut ranks = HashMap::new();
        for (rank, (left, right)) in vocabulary.merges().iter().enumerate() {
            ranks.entry((left.as_slice(), right.as_slice())).or_insert(rank);
        }
        let mut ids = HashMap::new();
        let special = |id: u32| vocabulary.special_tokens().iter().any(|(_, known)| *known == id);
        for (id, token) in (0..).zip(vocabulary.tokens()) {
            if !special(id) {
                ids.entry(token.as_slice()).or_insert(id);
            }
        }
        // Where only a special token has these bytes, text may become it.
        for (token, id) in vocabulary.special_tokens() {
            ids.entry(token).or_insert(*id);
        }
        Self { ranks, ids }
    }

    /// The ids of a pretoken.
    pub fn encode(&self, pretoken: &[u8]) -> Vec<u32> {
        let mut ends: Vec<usize> = (0..=pretoken.len()).collect();
        while let Some((_, at)) = (1..ends.len().saturating_sub(1))
            .filter_map(|at| {
                let pair = (&pretoken[ends[at - 1]..ends[at]], &pretoken[ends[at]..ends[at + 1]]);
                Some((*self.ranks.get(&pair)?, at))
            })
            .min()
        {
            ends.remove(at);
        }
        ends.windows(2).map(|ends| self.ids[&pretoken[ends[0]..ends[1]]]).collect()
    }
}
