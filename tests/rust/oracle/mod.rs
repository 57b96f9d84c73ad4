//! What the engine does, done again in the plainest way there is, however slow.

pub mod encode;
pub mod shards;
pub mod split;
pub mod train;
