"""Looking into a tokenizer: its vocabulary, its compression, its merges, its likeness to another.

Everything here is computed from a tokenizer's public face, for ``byteloom inspect``, the scripts
and notebooks; nothing that encodes depends on it.
"""

from byteloom.tokenizer.study.compression import Compression, compress
from byteloom.tokenizer.study.derivation import Derivation, Node, Step, derive
from byteloom.tokenizer.study.overlap import Overlap, overlap
from byteloom.tokenizer.study.token import KINDS, Token
from byteloom.tokenizer.study.vocabulary import VocabularySummary, summarize

__all__ = [
    "KINDS",
    "Compression",
    "Derivation",
    "Node",
    "Overlap",
    "Step",
    "Token",
    "VocabularySummary",
    "compress",
    "derive",
    "overlap",
    "summarize",
]
