//! What the fuzz targets share: how bytes become inputs, the oracles, and what must hold of anything
//! that a reader takes.
//!
//! A target is one file in `targets/`, named for what it tries. It makes an input of the fuzzer's
//! bytes ([`input`]), calls the engine through its public face, and panics where the slow, obvious code
//! of `tests/rust/oracle` says something else.

pub mod documents;
pub mod edits;
pub mod files;
pub mod input;
pub mod json;
pub mod packing;
pub mod parquet;
pub mod splitting;
pub mod vocabulary;
pub mod zstd_frames;

#[path = "../../tests/rust/oracle/mod.rs"]
pub mod oracle;
