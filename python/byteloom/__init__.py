"""byteloom: from text to a language model's words.

The tokenizer half (``Tokenizer``, ``train_bpe``, ``PretokenCounts``) needs numpy only; the model
half (``TransformerLM``, ``byteloom.nn`` ...) is imported when first asked for and needs the extra
``train``.
"""

from __future__ import annotations

__version__ = "0.1.0"
