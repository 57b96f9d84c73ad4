"""Two tokenizers side by side: which tokens they share, and whether under the same ids."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from byteloom.plotting import COLOURS, plot
from byteloom.tokenizer.bpe import Tokenizer
from byteloom.tokenizer.study.token import Token


@dataclass(frozen=True)
class Overlap:
    """What two vocabularies have in common. Tokens are compared by their bytes.

    Special tokens are left out of all but ``special_tokens``: how one is written is a convention.
    """

    common: tuple[Token, ...]
    """Tokens of both, with the ids of the first tokenizer, in the order of these."""
    only_first: tuple[Token, ...]
    """Tokens of the first tokenizer alone, in the order of their ids: the early ones are merges
    that came early, of what is frequent in its text."""
    only_second: tuple[Token, ...]
    """Tokens of the second alone, likewise."""
    equal_ids: int
    """Common tokens that have the same id in both."""
    equal_merges: int
    """So many merges, from the first on, are the same: 0 where already the first differs."""
    special_tokens: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    """Special tokens of both, of the first alone, of the second alone."""

    @property
    def union(self) -> int:
        """Different tokens in all."""
        return len(self.common) + len(self.only_first) + len(self.only_second)

    @property
    def jaccard(self) -> float:
        """Common tokens as a part of the union, 0 to 1 (Jaccard 1901)."""
        return len(self.common) / self.union

    def by_length(self) -> dict[int, tuple[int, int, int]]:
        """Length in bytes -> tokens in common, of the first alone, of the second alone."""
        parts = (self.common, self.only_first, self.only_second)
        lengths = {len(token.bytes) for part in parts for token in part}
        table = {length: [0, 0, 0] for length in sorted(lengths)}
        for column, part in enumerate(parts):
            for token in part:
                table[len(token.bytes)][column] += 1
        return {length: (row[0], row[1], row[2]) for length, row in table.items()}

    def figures(self, examples: int = 10) -> dict[str, Any]:
        """For JSON, with some tokens of each part."""
        shared, here, there = self.special_tokens
        return {
            "common": len(self.common),
            "only_first": len(self.only_first),
            "only_second": len(self.only_second),
            "jaccard": self.jaccard,
            "equal_ids": self.equal_ids,
            "equal_merges": self.equal_merges,
            "by_length": {
                length: dict(zip(("common", "only_first", "only_second"), row, strict=True))
                for length, row in self.by_length().items()
            },
            "special_tokens": {"common": shared, "only_first": here, "only_second": there},
            "first_only_first": [token.figures() for token in self.only_first[:examples]],
            "first_only_second": [token.figures() for token in self.only_second[:examples]],
        }


def overlap(first: Tokenizer, second: Tokenizer) -> Overlap:
    """Compares two tokenizers.

    Example:
        >>> vocab = {i: bytes([i]) for i in range(256)}
        >>> merges = [(b"o", b"w"), (b"l", b"ow")]
        >>> first = Tokenizer(vocab | {256: b"ow", 257: b"low"}, merges)
        >>> second = Tokenizer(vocab | {256: b"ow", 257: b"ew"}, [merges[0], (b"e", b"w")])
        >>> found = overlap(first, second)
        >>> len(found.common), found.only_first[0].bytes, found.equal_ids, found.equal_merges
        (257, b'low', 257, 1)
    """
    here, there = _ordinary(first), _ordinary(second)
    pairs = zip(first.merges, second.merges, strict=False)
    special = [set(tokenizer.special_tokens) for tokenizer in (first, second)]
    return Overlap(
        common=_tokens(here, there.keys() & here.keys()),
        only_first=_tokens(here, here.keys() - there.keys()),
        only_second=_tokens(there, there.keys() - here.keys()),
        equal_ids=sum(there.get(token) == id for token, id in here.items()),
        equal_merges=sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)),
        special_tokens=(
            tuple(sorted(special[0] & special[1])),
            tuple(sorted(special[0] - special[1])),
            tuple(sorted(special[1] - special[0])),
        ),
    )


def _ordinary(tokenizer: Tokenizer) -> dict[bytes, int]:
    """Token -> the id that text gets, which is the smallest if there are several."""
    special = set(tokenizer.special_tokens.values())
    return {
        token: id
        for id, token in sorted(tokenizer.vocab.items(), reverse=True)
        if id not in special
    }


def _tokens(ids: Mapping[bytes, int], chosen: set[bytes]) -> tuple[Token, ...]:
    return tuple(sorted(Token(ids[token], token) for token in chosen))


def plot_overlap(
    found: Overlap, path: str | os.PathLike[str], first: str, second: str, longest: int = 20
) -> None:
    """Draws, for each length, how many tokens are shared and how many are not.

    Args:
        found: from :func:`overlap`.
        path: .png, .svg or .pdf.
        first: the first tokenizer's name in the legend.
        second: likewise.
        longest: longer tokens share one bar.
    """
    rows = grouped(found.by_length(), longest)
    places = range(len(rows))
    labels = (
        f"in both ({len(found.common):,})",
        f"only in {first} ({len(found.only_first):,})",
        f"only in {second} ({len(found.only_second):,})",
    )
    with plot(path) as axes:
        bottom = [0] * len(rows)
        for column, label in enumerate(labels):
            heights = [row[column] for row in rows.values()]
            axes.bar(places, heights, bottom=bottom, color=COLOURS[column], label=label, width=0.8)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        axes.set_xticks(list(places), list(rows))
        axes.set_xlabel("length of token, bytes")
        axes.set_ylabel("tokens")
        axes.grid(visible=False, axis="x")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_title(f"Tokens of {first} and {second}")
        axes.legend(reverse=True)  # as the bars are stacked


def grouped(rows: Mapping[int, tuple[int, ...]], longest: int = 20) -> dict[str, tuple[int, ...]]:
    """Rows by length, those past ``longest`` added up in one.

    Example:
        >>> grouped({1: (256, 3), 25: (1, 2), 30: (1, 0)}, longest=20)
        {'1': (256, 3), '21+': (2, 2)}
    """
    short = {str(length): row for length, row in rows.items() if length <= longest}
    tail = [row for length, row in rows.items() if length > longest]
    if tail:
        short[f"{longest + 1}+"] = tuple(map(sum, zip(*tail, strict=True)))
    return short
