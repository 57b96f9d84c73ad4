"""Text -> pretokens -> counts -> merges -> ids, on top of the Rust core; never imports torch."""

from byteloom.tokenizer.bpe import EncodeStats, ShardStats, Tokenizer
from byteloom.tokenizer.counts import PretokenCounts, Pruned, train_bpe

__all__ = ["EncodeStats", "PretokenCounts", "Pruned", "ShardStats", "Tokenizer", "train_bpe"]
