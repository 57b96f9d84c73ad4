//! byteloom's engine: bytes in, byte-pair-encoding merges and token ids out.
//!
//! The modules stand in the order in which data passes through them:
//!
//! 1. [`special`]: text is split at special tokens, which are never counted or merged;
//! 2. [`pretokenize`]: what lies between is cut into pretokens by a pattern;
//! 3. [`source`] and [`chunk`]: inputs in any format are read in [pieces][piece] that end where no
//!    pretoken can cross;
//! 4. [`count`]: pretokens are counted, in parallel, in memory that follows the distinct ones;
//! 5. [`train`]: counts become merges;
//! 6. [`vocab`] and [`files`]: merges become a vocabulary, and a file that others read;
//! 7. [`encode`]: with the vocabulary, bytes become ids and ids become bytes.
//!
//! Everything works on bytes: text need not be valid UTF-8, and what is not round-trips.

pub mod atomic;
pub mod chunk;
pub mod count;
pub mod encode;
pub mod error;
pub mod files;
pub mod monitor;
pub mod piece;
mod prefetch;
pub mod pretokenize;
pub mod source;
pub mod special;
pub mod threads;
pub mod train;
pub mod vocab;

#[cfg(feature = "python")]
mod python;

pub use error::{Error, ErrorKind, Result};
pub use monitor::Monitor;
