//! Bytes -> ids and back, with a vocabulary.
//!
//! A text is split at special tokens and into pretokens; a pretoken's ids come from a cache, or are
//! made by merging its bytes ([`merge`]). Files go straight to a token file ([`stream`]).

mod cache;
mod merge;
mod stream;

use std::sync::{Mutex, PoisonError};

use crate::count::Counts;
use crate::pretokenize::Pretokenizer;
use crate::special::{Segment, SpecialTokens};
use crate::vocab::Vocabulary;
use crate::{Error, Monitor, Result};

pub use stream::{Dtype, EncodeOptions, EncodeStats};

use cache::Cache;
use merge::{MergeTable, Scratch};

/// Slots of the cache for texts from memory: 2 MB, taken when the encoder is made and never more.
const TEXT_CACHE: usize = 1 << 16;

/// A type of which token files and arrays are made.
pub trait TokenId: Copy + Send {
    /// How many ids it can tell apart.
    const LIMIT: u64;
    /// The id in this type. The caller has made sure that it fits.
    fn from_id(id: u32) -> Self;
    /// Appends the id's bytes, least significant first.
    fn write_to(self, out: &mut Vec<u8>);
}

macro_rules! token_id {
    ($type:ty) => {
        impl TokenId for $type {
            const LIMIT: u64 = <$type>::MAX as u64 + 1;
            #[inline]
            fn from_id(id: u32) -> Self {
                id as Self
            }
            #[inline]
            fn write_to(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    };
}
token_id!(u16);
token_id!(u32);

/// A vocabulary and a pattern, ready to encode and decode from many threads at once.
#[derive(Debug)]
pub struct Encoder {
    vocabulary: Vocabulary,
    pretokenizer: Pretokenizer,
    special: SpecialTokens,
    special_ids: Vec<u32>,
    table: MergeTable,
    /// What threads that encode texts from memory borrow; as many as there ever were at once.
    idle: Mutex<Vec<Worker>>,
}

/// What one thread needs for itself.
#[derive(Debug)]
struct Worker {
    cache: Cache,
    scratch: Scratch,
}

/// Which special tokens become their ids; the others are the text they look like.
#[derive(Clone, Debug)]
pub enum AllowedSpecial {
    /// Every one.
    All,
    /// These, by index in the vocabulary's special tokens.
    Only(SpecialTokens, Vec<u32>),
}

impl Encoder {
    /// Prepares to encode.
    ///
    /// # Errors
    /// The special tokens cannot be searched for (an absurd number of them).
    pub fn new(vocabulary: Vocabulary, pretokenizer: Pretokenizer) -> Result<Self> {
        let (tokens, special_ids): (Vec<_>, Vec<_>) =
            vocabulary.special_tokens().iter().cloned().unzip();
        Ok(Self {
            special: SpecialTokens::new(&tokens)?,
            special_ids,
            table: MergeTable::new(&vocabulary),
            idle: Mutex::new(vec![Worker::new(TEXT_CACHE)]),
            vocabulary,
            pretokenizer,
        })
    }

    /// The vocabulary.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// What splits the text.
    #[must_use]
    pub fn pretokenizer(&self) -> &Pretokenizer {
        &self.pretokenizer
    }

    /// Allows some special tokens only.
    ///
    /// # Errors
    /// One of them is no special token of this vocabulary.
    pub fn allow<T: AsRef<[u8]>>(&self, tokens: &[T]) -> Result<AllowedSpecial> {
        let ids = tokens.iter().map(|token| self.special_id(token.as_ref())).collect::<Result<_>>();
        Ok(AllowedSpecial::Only(SpecialTokens::new(tokens)?, ids?))
    }

    /// The id of a special token.
    fn special_id(&self, token: &[u8]) -> Result<u32> {
        let index = self.special.tokens().iter().position(|known| known == token);
        let index = index.ok_or_else(|| {
            Error::invalid(format!(
                "{:?} is no special token of this tokenizer",
                String::from_utf8_lossy(token)
            ))
        })?;
        Ok(self.special_ids[index])
    }

    /// Appends the ids of a text. `T` must be wide enough for the vocabulary.
    ///
    /// # Errors
    /// The monitor was cancelled, or the pattern's engine gives up on this text.
    pub fn encode<T: TokenId>(
        &self,
        text: &[u8],
        allowed: &AllowedSpecial,
        monitor: &Monitor,
        ids: &mut Vec<T>,
    ) -> Result<()> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut worker = taken.unwrap_or_else(|| Worker::new(TEXT_CACHE));
        let result = self.encode_with(&mut worker, text, allowed, monitor, ids);
        idle().push(worker);
        result
    }

    fn encode_with<T: TokenId>(
        &self,
        worker: &mut Worker,
        text: &[u8],
        allowed: &AllowedSpecial,
        monitor: &Monitor,
        ids: &mut Vec<T>,
    ) -> Result<()> {
        if u32::try_from(text.len()).is_err() {
            return Err(Error::invalid(format!(
                "a text of {} bytes is too long to encode at once: 2^32 - 1 are the most; encode \
                 it as a file",
                text.len()
            )));
        }
        let (special, special_ids) = match allowed {
            AllowedSpecial::All => (&self.special, &self.special_ids),
            AllowedSpecial::Only(special, ids) => (special, ids),
        };
        for segment in special.split(text) {
            match segment {
                Segment::Special(index) => ids.push(T::from_id(special_ids[index])),
                Segment::Text(text) => self.pretokenizer.for_each(text, monitor, |pretoken| {
                    worker.encode(&self.table, pretoken, ids, monitor);
                })?,
            }
        }
        monitor.check()
    }

    /// How many ids the counted pretokens become.
    ///
    /// # Errors
    /// The monitor was cancelled.
    pub fn count_tokens(&self, counts: &Counts, monitor: &Monitor) -> Result<u64> {
        let mut scratch = Scratch::default();
        let mut total = 0u64;
        counts.for_each(|pretoken, count| {
            if monitor.check().is_ok() {
                let ids = self.table.merge(pretoken, &mut scratch, monitor).len() as u64;
                total = total.saturating_add(ids.saturating_mul(count));
            }
        });
        monitor.check()?;
        Ok(total)
    }

    /// Appends the bytes that ids stand for.
    ///
    /// # Errors
    /// An id outside the vocabulary; the message says which, where, and how large that is.
    pub fn decode(&self, ids: &[u32], out: &mut Vec<u8>) -> Result<()> {
        for (position, &id) in ids.iter().enumerate() {
            let token = self.vocabulary.token(id).ok_or_else(|| {
                Error::invalid(format!(
                    "id {id} at position {position} is not in the vocabulary, whose ids are 0 .. {}",
                    self.vocabulary.len() - 1
                ))
            })?;
            out.extend_from_slice(token);
        }
        Ok(())
    }
}

impl Worker {
    fn new(cache_slots: usize) -> Self {
        Self { cache: Cache::new(cache_slots), scratch: Scratch::default() }
    }

    #[inline]
    fn encode<T: TokenId>(
        &mut self,
        table: &MergeTable,
        pretoken: &[u8],
        ids: &mut Vec<T>,
        monitor: &Monitor,
    ) {
        let (cache, scratch) = (&mut self.cache, &mut self.scratch);
        cache.encode(pretoken, ids, |pretoken| table.merge(pretoken, scratch, monitor));
    }
}
