"""Text -> pretokens -> counts -> merges -> ids, on top of the Rust core; never imports torch."""

from byteloom.tokenizer.bpe import EncodeStats, Tokenizer
from byteloom.tokenizer.counts import PretokenCounts, train_bpe

__all__ = ["EncodeStats", "PretokenCounts", "Tokenizer", "train_bpe"]
