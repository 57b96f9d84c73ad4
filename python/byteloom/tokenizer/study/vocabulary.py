"""A vocabulary in figures: how long its tokens are and what they are made of."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from typing import Any

from byteloom import _rust
from byteloom.tokenizer.bpe import Tokenizer
from byteloom.tokenizer.study.token import KINDS, Token


@dataclass(frozen=True)
class VocabularySummary:
    """What a vocabulary consists of. Lengths are in bytes, without special tokens."""

    size: int
    """Ids, special tokens included."""
    merges: int
    """Merges; there can be fewer than tokens."""
    special_tokens: dict[str, int]
    """Special token -> id."""
    pattern: str
    """The regular expression that splits text before it is merged."""
    preset: str | None
    """The pattern's name, if it has one."""
    lengths: dict[int, int]
    """Length -> tokens, shortest first."""
    kinds: dict[str, int]
    """Kind (:data:`~byteloom.tokenizer.study.token.KINDS`) -> tokens; each token has one."""
    space_first: int
    """Tokens that start with a space."""
    longest: tuple[Token, ...]
    """Longest first, equally long ones in the order of their ids."""

    @property
    def mean_length(self) -> float:
        """Of a token, each counted once."""
        tokens = sum(self.lengths.values())
        return sum(length * count for length, count in self.lengths.items()) / tokens

    @property
    def median_length(self) -> int:
        """Half of the tokens are this long or shorter."""
        left = (sum(self.lengths.values()) + 1) // 2
        for length, count in self.lengths.items():
            left -= count
            if left <= 0:
                return length
        raise AssertionError("a vocabulary has the 256 bytes at least")

    def figures(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "vocab_size": self.size,
            "merges": self.merges,
            "special_tokens": self.special_tokens,
            "pattern": self.pattern,
            "preset": self.preset,
            "mean_length": self.mean_length,
            "median_length": self.median_length,
            "lengths": self.lengths,
            "kinds": self.kinds,
            "space_first": self.space_first,
            "longest": [
                token.figures() | {"bytes": len(token.bytes), "characters": token.characters}
                for token in self.longest
            ],
        }


def summarize(tokenizer: Tokenizer, longest: int = 10) -> VocabularySummary:
    """Looks at every token.

    Args:
        tokenizer: any.
        longest: how many of the longest tokens to name.

    Example:
        >>> vocab = {i: bytes([i]) for i in range(256)} | {256: b" t", 257: b" th"}
        >>> tokenizer = Tokenizer(vocab, [(b" ", b"t"), (b" t", b"h")], special_tokens=["<|end|>"])
        >>> summary = summarize(tokenizer, longest=1)
        >>> summary.size, summary.lengths, summary.kinds["word"], summary.longest[0].bytes
        (259, {1: 256, 2: 1, 3: 1}, 2, b' th')
    """
    special = set(tokenizer.special_tokens.values())
    tokens = [Token(id, token, id in special) for id, token in tokenizer.vocab.items()]
    ordinary = [token for token in tokens if not token.special]
    kinds = Counter(token.kind for token in tokens)
    preset, _ = _rust.resolve_pattern(tokenizer.pattern)
    return VocabularySummary(
        size=tokenizer.vocab_size,
        merges=len(tokenizer.merges),
        special_tokens=tokenizer.special_tokens,
        pattern=tokenizer.pattern,
        preset=preset,
        lengths=dict(sorted(Counter(len(token.bytes) for token in ordinary).items())),
        kinds={kind: kinds[kind] for kind in KINDS},
        space_first=sum(token.bytes.startswith(b" ") for token in ordinary),
        longest=tuple(
            heapq.nsmallest(longest, ordinary, key=lambda token: (-len(token.bytes), token.id))
        ),
    )
