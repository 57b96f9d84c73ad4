//! Bytes -> ids and back, with a vocabulary.
//!
//! A text is split at special tokens and into pretokens; a pretoken's ids come from a cache, or are
//! made by merging its bytes ([`merge`]). Files go straight to a token file ([`stream`]) or to
//! a folder of shards ([`shards`]).

mod batch;
mod buckets;
mod cache;
mod chain;
mod decode;
mod documents;
mod encoded;
mod indexed_file;
mod lane;
mod long;
mod manifest;
mod merge;
mod merger;
mod ordered;
mod pool;
mod shards;
#[cfg(test)]
mod slow;
mod stream;
mod table;
mod token_file;
mod watch;
mod worker;

use bytemuck::{NoUninit, Zeroable};

use crate::count::Counts;
use crate::pretokenize::Pretokenizer;
use crate::special::{Segment, SpecialTokens};
use crate::vocab::Vocabulary;
use crate::{Error, Monitor, Result};

pub use encoded::Encoded;
pub use shards::{ShardOptions, ShardStats};
pub use stream::{Dtype, EncodeOptions, EncodeStats};

use decode::Decoder;
use merge::Scratch;
use pool::{Pool, Pooled};
use table::{MAX_IDS, MergeTable};
use worker::{Output, Worker};

/// A type of which token files and arrays are made.
pub trait TokenId: NoUninit + Zeroable + Eq + Send + Pooled {
    /// What it is called.
    const DTYPE: Dtype;
    /// How many ids it can tell apart.
    const LIMIT: u64;
    /// The id in this type. The caller has made sure that it fits.
    fn from_id(id: u32) -> Self;
    /// The id.
    fn id(self) -> u32;
}

macro_rules! token_id {
    ($type:ty, $dtype:expr) => {
        impl TokenId for $type {
            const DTYPE: Dtype = $dtype;
            const LIMIT: u64 = <$type>::MAX as u64 + 1;
            #[inline]
            fn from_id(id: u32) -> Self {
                id as Self
            }
            #[inline]
            fn id(self) -> u32 {
                self.into()
            }
        }
    };
}
token_id!(u16, Dtype::U16);
token_id!(u32, Dtype::U32);

/// A vocabulary and a pattern, ready to encode and decode from many threads at once.
#[derive(Debug)]
pub struct Encoder {
    vocabulary: Vocabulary,
    pretokenizer: Pretokenizer,
    special: SpecialTokens,
    special_ids: Vec<u32>,
    table: MergeTable,
    decoder: Decoder,
    pool: Pool,
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
    /// The special tokens cannot be searched for (an absurd number of them), or there are more than
    /// 2^21 - 1 tokens.
    pub fn new(vocabulary: Vocabulary, pretokenizer: Pretokenizer) -> Result<Self> {
        if vocabulary.len() > MAX_IDS || vocabulary.merges().len() > MAX_IDS {
            return Err(Error::invalid(format!(
                "a vocabulary of {} tokens and {} merges is too large to encode with: {MAX_IDS} are \
                 the most",
                vocabulary.len(),
                vocabulary.merges().len()
            )));
        }
        let (tokens, special_ids): (Vec<_>, Vec<_>) =
            vocabulary.special_tokens().iter().cloned().unzip();
        let encoder = Self {
            special: SpecialTokens::new(&tokens)?,
            special_ids,
            table: MergeTable::new(&vocabulary),
            decoder: Decoder::new(&vocabulary),
            pool: Pool::default(),
            vocabulary,
            pretokenizer,
        };
        // Made now, so that encoding hardly needs memory.
        if encoder.is_wide() {
            encoder.pool.give_back::<u32>(Worker::new());
        } else {
            encoder.pool.give_back::<u16>(Worker::new());
        }
        Ok(encoder)
    }

    /// Whether ids need four bytes.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.vocabulary.len() as u64 > u16::LIMIT
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

    /// The ids of a text. `T` must be wide enough for the vocabulary.
    ///
    /// # Errors
    /// The monitor was cancelled, or the pattern's engine gives up on this text.
    pub fn encode<T: TokenId>(
        &self,
        text: &[u8],
        allowed: &AllowedSpecial,
        monitor: &Monitor,
    ) -> Result<Encoded<'_, T>> {
        Encoded::new(&self.pool, room_for::<T>(text.len()), |worker, room| {
            self.encode_with(worker, text, allowed, monitor, room)
        })
    }

    /// Writes the ids of a text into room for them ([`room_for`]) and returns how many there are.
    fn encode_with<T: TokenId, const SLOTS: usize>(
        &self,
        worker: &mut Worker<T, SLOTS>,
        text: &[u8],
        allowed: &AllowedSpecial,
        monitor: &Monitor,
        room: &mut [T],
    ) -> Result<usize> {
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
        let mut output = Output::new(room);
        for segment in special.split(text) {
            match segment {
                Segment::Special(index) => output.push(special_ids[index]),
                Segment::Text(text) => {
                    worker.encode(&self.table, &self.pretokenizer, text, monitor, &mut output)?;
                }
            }
        }
        monitor.check()?;
        Ok(output.len())
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
        self.decoder.decode(ids, out)
    }
}

/// How many ids there must be room for: a text has at most as many as bytes.
fn room_for<T: TokenId>(bytes: usize) -> usize {
    bytes + Output::<T>::SLACK
}
