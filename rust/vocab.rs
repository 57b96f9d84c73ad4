//! The vocabulary: ids, the bytes they stand for, and the merges that make them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt::Write as _;

use rustc_hash::FxBuildHasher;

use crate::{Error, Result};

type Bytes = Vec<u8>;

/// The left and the right part of a merge.
pub type Merge = (Bytes, Bytes);

/// Ids 0 .. n-1 with their bytes, merges in order of creation, and special tokens.
///
/// A special token's id is not what text merges into, even if its bytes are those of an ordinary
/// token. Where bytes stand under two ordinary ids, both are decoded and the smaller is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    tokens: Vec<Bytes>,
    merges: Vec<Merge>,
    /// The same merges as ids: left, right, product.
    merge_ids: Vec<(u32, u32, u32)>,
    special: Vec<(Bytes, u32)>,
    byte_ids: [u32; 256],
}

impl Vocabulary {
    /// Checks that tokens and merges fit together; appends special tokens that are not yet there.
    ///
    /// # Errors
    /// Ids that are not 0 .. n-1, a single byte that is missing, a merge whose parts are not there
    /// before it or whose product has no id, or an empty or repeated special token.
    pub fn new(
        tokens: Vec<(u32, Bytes)>,
        merges: Vec<Merge>,
        special_tokens: &[Bytes],
    ) -> Result<Self> {
        let mut by_id: Vec<Option<Bytes>> = vec![None; tokens.len()];
        for (id, token) in tokens {
            let size = by_id.len();
            let Some(place) = by_id.get_mut(id as usize) else {
                let missing = by_id.iter().position(Option::is_none).unwrap_or(size);
                return Err(Error::invalid(format!(
                    "the vocabulary has {size} tokens, so ids must be 0 .. {}, but there is id {id} \
                     and no id {missing}",
                    size - 1
                )));
            };
            if place.replace(token).is_some() {
                return Err(Error::invalid(format!("id {id} stands for two tokens")));
            }
        }
        // Every one of n different ids below n is taken.
        let mut tokens: Vec<Bytes> = by_id.into_iter().flatten().collect();
        let special = place_special(&mut tokens, special_tokens)?;
        Self::build(tokens, merges, special)
    }

    /// Takes tokens in the order of their ids, and special tokens with theirs.
    pub(crate) fn build(
        tokens: Vec<Bytes>,
        merges: Vec<Merge>,
        special: Vec<(Bytes, u32)>,
    ) -> Result<Self> {
        let ids = ordinary_ids(&tokens, &special);
        let mut byte_ids = [0; 256];
        for (byte, id) in (0u8..=255).zip(&mut byte_ids) {
            *id = *ids.get(&[byte][..]).ok_or_else(|| {
                Error::invalid(format!(
                    "the vocabulary lacks the single byte {byte} (0x{byte:02x}); all 256 must be \
                     there (Hugging Face: train with initial_alphabet=ByteLevel.alphabet())"
                ))
            })?;
        }
        let mut made = vec![false; tokens.len()];
        byte_ids.iter().for_each(|&id| made[id as usize] = true);
        let mut merge_ids = Vec::with_capacity(merges.len());
        for (index, (left, right)) in merges.iter().enumerate() {
            let wrong = |what: String| {
                Error::invalid(format!("merge {index}, {} + {}: {what}", show(left), show(right)))
            };
            let part = |part: &Bytes| {
                let id = ids.get(part.as_slice()).copied();
                let id =
                    id.ok_or_else(|| wrong(format!("{} is not in the vocabulary", show(part))))?;
                if made[id as usize] {
                    return Ok(id);
                }
                Err(wrong(format!("{} is made by no merge before this one", show(part))))
            };
            let (left_id, right_id) = (part(left)?, part(right)?);
            let joined = [left.as_slice(), right].concat();
            let product = ids.get(joined.as_slice()).copied().ok_or_else(|| {
                wrong(format!("their product {} is not in the vocabulary", show(&joined)))
            })?;
            made[product as usize] = true;
            merge_ids.push((left_id, right_id, product));
        }
        Ok(Self { tokens, merges, merge_ids, special, byte_ids })
    }

    /// Recovers the merges from tiktoken's ranks, which are ids too: a token of several bytes was
    /// made of the two tokens that its bytes become under the ranks below its own.
    ///
    /// # Errors
    /// Ids that are not 0 .. n-1, or a token that its ranks cannot make.
    pub fn from_ranks(ranks: Vec<(Bytes, u32)>, special_tokens: Vec<(Bytes, u32)>) -> Result<Self> {
        let by_bytes: HashMap<&[u8], u32, FxBuildHasher> =
            ranks.iter().map(|(token, rank)| (token.as_slice(), *rank)).collect();
        let mut ordered: Vec<&(Bytes, u32)> = ranks.iter().collect();
        ordered.sort_unstable_by_key(|(_, rank)| *rank);
        let mut merges = Vec::new();
        for (token, rank) in ordered.into_iter().filter(|(token, _)| token.len() > 1) {
            match parts_below(token, *rank, &by_bytes).as_slice() {
                [left, right] => merges.push((left.to_vec(), right.to_vec())),
                parts => {
                    return Err(Error::invalid(format!(
                        "token {rank}, {}: the ranks below it give {} parts, not two, so no merge \
                         makes it",
                        show(token),
                        parts.len()
                    )));
                }
            }
        }
        let special: Vec<Bytes> = special_tokens.iter().map(|(token, _)| token.clone()).collect();
        let tokens: Vec<(u32, Bytes)> =
            ranks.into_iter().chain(special_tokens).map(|(token, id)| (id, token)).collect();
        Self::new(tokens, merges, &special)
    }

    /// How many ids there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the 256 bytes are always there")]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The bytes of an id.
    #[inline]
    #[must_use]
    pub fn token(&self, id: u32) -> Option<&[u8]> {
        self.tokens.get(id as usize).map(Vec::as_slice)
    }

    /// The bytes of all ids, in their order.
    #[must_use]
    pub fn tokens(&self) -> &[Bytes] {
        &self.tokens
    }

    /// The merges in order of creation.
    #[must_use]
    pub fn merges(&self) -> &[Merge] {
        &self.merges
    }

    /// The merges in order of creation, as ids: left, right, product.
    pub fn merge_ids(&self) -> impl Iterator<Item = (u32, u32, u32)> {
        self.merge_ids.iter().copied()
    }

    /// The special tokens and their ids, in the order of the ids.
    #[must_use]
    pub fn special_tokens(&self) -> &[(Bytes, u32)] {
        &self.special
    }

    /// The id of a single byte.
    #[must_use]
    pub fn byte_id(&self, byte: u8) -> u32 {
        self.byte_ids[usize::from(byte)]
    }
}

/// Bytes for a message: as text if they are, else as hexadecimal numbers.
pub(crate) fn show(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => format!("{text:?}"),
        Err(_) => bytes.iter().fold("0x".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}

/// Finds the special tokens among the tokens, or appends them.
fn place_special(tokens: &mut Vec<Bytes>, special_tokens: &[Bytes]) -> Result<Vec<(Bytes, u32)>> {
    // The constructor knows what a special token may be.
    crate::special::SpecialTokens::new(special_tokens)?;
    // Of equal tokens the last is the special one; the first stays ordinary.
    let mut last: HashMap<&[u8], usize, FxBuildHasher> = HashMap::default();
    for (id, token) in tokens.iter().enumerate() {
        last.insert(token, id);
    }
    let known: Vec<Option<usize>> =
        special_tokens.iter().map(|token| last.get(token.as_slice()).copied()).collect();
    let mut special = Vec::with_capacity(special_tokens.len());
    for (token, known) in special_tokens.iter().zip(known) {
        let id = known.unwrap_or_else(|| {
            tokens.push(token.clone());
            tokens.len() - 1
        });
        let id = u32::try_from(id).map_err(|_| Error::invalid("more than 2^32 tokens"))?;
        special.push((token.clone(), id));
    }
    special.sort_by_key(|(_, id)| *id);
    Ok(special)
}

/// Bytes -> the id that text gets. A special token's id is that of its bytes only where they have no
/// other: a single byte that is special, say.
fn ordinary_ids<'t>(
    tokens: &'t [Bytes],
    special: &[(Bytes, u32)],
) -> HashMap<&'t [u8], u32, FxBuildHasher> {
    let is_special: std::collections::HashSet<u32> = special.iter().map(|(_, id)| *id).collect();
    let mut ids = HashMap::with_capacity_and_hasher(tokens.len(), FxBuildHasher);
    // Ids are 32 bits: whoever made the tokens had such ids.
    for (id, token) in (0u32..).zip(tokens) {
        if !is_special.contains(&id) {
            ids.entry(token.as_slice()).or_insert(id);
        }
    }
    for (_, id) in special {
        ids.entry(tokens[*id as usize].as_slice()).or_insert(*id);
    }
    ids
}

/// What a token's bytes become when ranks below `limit` merge, lowest first and the leftmost of those.
///
/// A queue, for tokens may be long: training on one word of a megabyte makes some of half of it.
fn parts_below<'t>(
    token: &'t [u8],
    limit: u32,
    ranks: &HashMap<&[u8], u32, FxBuildHasher>,
) -> Vec<&'t [u8]> {
    const GONE: usize = usize::MAX;
    // Where the part that begins here ends, and where the one before it begins.
    let mut ends: Vec<usize> = (1..=token.len()).collect();
    let mut before: Vec<usize> = (0..token.len()).map(|at| at.wrapping_sub(1)).collect();
    let mut queue = BinaryHeap::new();
    let look = |queue: &mut BinaryHeap<_>, at: usize, middle: usize, end: usize| {
        if let Some(&rank) = ranks.get(&token[at..end]).filter(|rank| **rank < limit) {
            queue.push(Reverse((rank, at, middle, end)));
        }
    };
    (2..=token.len()).for_each(|end| look(&mut queue, end - 2, end - 1, end));
    while let Some(Reverse((_, at, middle, end))) = queue.pop() {
        // An entry is out of date if one of its parts has been merged since.
        if ends[at] != middle || ends[middle] != end {
            continue;
        }
        ends[at] = end;
        ends[middle] = GONE;
        if let Some(before) = before.get_mut(end) {
            *before = at;
            look(&mut queue, at, end, ends[end]);
        }
        if before[at] != GONE {
            look(&mut queue, before[at], at, end);
        }
    }
    let starts = (0..token.len()).filter(|&at| ends[at] != GONE);
    starts.map(|at| &token[at..ends[at]]).collect()
}
