//! Tests of the engine; the modules mirror `rust/`, the slow oracles stand in `oracle/`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod oracle;
mod support;

mod atomic;
mod chunk;
mod count;
mod encode;
mod files;
mod pretokenize;
mod shards;
mod source;
mod special;
mod threads;
mod train;
mod vocab;
