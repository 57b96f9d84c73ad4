//! Ids -> bytes: the bytes of all tokens stand one behind the other, and short ones are copied as if they
//! were all of the same length.

use crate::vocab::Vocabulary;
use crate::{Error, Result};

/// Bytes that are copied at once; most tokens are shorter.
const STEP: usize = 16;

/// Where the bytes of each id are.
#[derive(Debug)]
pub struct Decoder {
    /// Of all tokens, and a step more, so that the last can be copied like the others.
    bytes: Box<[u8]>,
    /// Start of each token in them, and the end of the last.
    starts: Box<[usize]>,
}

impl Decoder {
    /// The tokens of a vocabulary.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let mut bytes = Vec::new();
        let mut starts = vec![0];
        for token in vocabulary.tokens() {
            bytes.extend_from_slice(token);
            starts.push(bytes.len());
        }
        bytes.extend_from_slice(&[0; STEP]);
        Self { bytes: bytes.into(), starts: starts.into() }
    }

    /// Appends the bytes that ids stand for.
    ///
    /// # Errors
    /// An id outside the vocabulary; the message says which, where, and how large that is.
    pub fn decode(&self, ids: &[u32], out: &mut Vec<u8>) -> Result<()> {
        let mut length = 0;
        for (position, &id) in ids.iter().enumerate() {
            let [start, end] = self.token(id).ok_or_else(|| {
                Error::invalid(format!(
                    "id {id} at position {position} is not in the vocabulary, whose ids are 0 .. {}",
                    self.starts.len() - 2
                ))
            })?;
            length += end - start;
        }
        let begin = out.len();
        out.resize(begin + length + STEP, 0);
        let mut at = begin;
        for [start, end] in ids.iter().filter_map(|&id| self.token(id)) {
            let (token, room) = (&self.bytes[start..], &mut out[at..]);
            let length = end - start;
            match (token.first_chunk::<STEP>(), room.first_chunk_mut::<STEP>()) {
                (Some(token), Some(room)) if length <= STEP => *room = *token,
                _ => room[..length].copy_from_slice(&token[..length]),
            }
            at += length;
        }
        out.truncate(at);
        Ok(())
    }

    #[inline]
    fn token(&self, id: u32) -> Option<[usize; 2]> {
        self.starts.get(id as usize..)?.first_chunk().copied()
    }
}
