"""How a word's bytes become its tokens: the merges in their order, and the tree they make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from byteloom import _rust
from byteloom.tokenizer.bpe import Tokenizer
from byteloom.tokenizer.study.token import show

#: Longer words are refused: nobody reads such a tree, which can be as deep as its word is long.
MAX_BYTES = 256


@dataclass(frozen=True)
class Node:
    """A token in the tree: a single byte, a special token, or two nodes that were merged."""

    token: bytes
    id: int
    rank: int | None = None
    """Which merge made it, counted from 0; ``None`` for what no merge made."""
    parts: tuple[Node, ...] = ()
    """Left and right; none for a leaf."""

    def leaves(self) -> Iterator[Node]:
        """From left to right."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def figures(self) -> dict[str, Any]:
        """The tree below it, for JSON."""
        return {
            "id": self.id,
            "text": self.token.decode("utf-8", errors="replace"),
            "hex": self.token.hex(),
            "rank": self.rank,
            "parts": [part.figures() for part in self.parts],
        }


@dataclass(frozen=True)
class Step:
    """One merge of two neighbours."""

    rank: int
    """The merge's place in the list of merges, from 0: the lowest goes first."""
    left: bytes
    right: bytes
    tokens: tuple[bytes, ...]
    """The word's tokens after it."""


@dataclass(frozen=True)
class Derivation:
    """A pretoken on its way from bytes to tokens."""

    pretoken: bytes
    steps: tuple[Step, ...]
    roots: tuple[Node, ...]
    """The tokens it ends as, with how each was made."""

    @property
    def ids(self) -> list[int]:
        """As :meth:`Tokenizer.encode` gives them."""
        return [root.id for root in self.roots]

    def tree(self) -> str:
        r"""The tree, drawn in text.

        Example:
            >>> vocab = {i: bytes([i]) for i in range(256)} | {256: b"ow", 257: b"low"}
            >>> tokenizer = Tokenizer(vocab, [(b"o", b"w"), (b"l", b"ow")])
            >>> print(derive(tokenizer, "lows")[0].tree())
            'lows'
            ├─ 'low'  id 257, merge 1
            │  ├─ 'l'
            │  └─ 'ow'  id 256, merge 0
            │     ├─ 'o'
            │     └─ 'w'
            └─ 's'  id 115
        """
        return "\n".join([show(self.pretoken), *_draw(self.roots, "", top=True)])

    def figures(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "text": self.pretoken.decode("utf-8", errors="replace"),
            "hex": self.pretoken.hex(),
            "ids": self.ids,
            "steps": [
                {
                    "rank": step.rank,
                    "left": step.left.hex(),
                    "right": step.right.hex(),
                    "tokens": [token.hex() for token in step.tokens],
                }
                for step in self.steps
            ],
            "tree": [root.figures() for root in self.roots],
        }


def derive(tokenizer: Tokenizer, text: str | bytes) -> list[Derivation]:
    """Splits a text as the tokenizer does and follows each pretoken's merges.

    Again and again the two neighbours whose merge stands first in the list are joined, the leftmost
    where it applies more than once (Sennrich et al. 2016, arXiv:1508.07909), until none is a merge.

    Args:
        tokenizer: any.
        text: a word, usually with the space before it, or several; special tokens are known.

    Returns:
        One derivation for each pretoken; their ids, joined, are those of ``encode``.

    Raises:
        ValueError: a pretoken of more than ``MAX_BYTES`` bytes.

    Example:
        >>> vocab = {i: bytes([i]) for i in range(256)} | {256: b"ow", 257: b"low"}
        >>> tokenizer = Tokenizer(vocab, [(b"o", b"w"), (b"l", b"ow")])
        >>> (word,) = derive(tokenizer, "lows")
        >>> [(step.rank, step.tokens) for step in word.steps]
        [(0, (b'l', b'ow', b's')), (1, (b'low', b's'))]
        >>> word.ids == tokenizer.encode("lows")
        True
    """
    special = tokenizer.special_tokens
    # Of a pair that is listed twice the first counts; of bytes with several ids the smallest does.
    merges = tokenizer.merges
    ranks = {pair: rank for rank, pair in reversed(list(enumerate(merges)))}
    special_ids = set(special.values())
    ids = {
        token: id
        for id, token in sorted(tokenizer.vocab.items(), reverse=True)
        if id not in special_ids
    }
    derivations = []
    for piece in _rust.pretokenize(text, tokenizer.pattern, list(special)):
        known = special.get(piece.decode("utf-8", errors="surrogateescape"))
        if known is not None:
            derivations.append(Derivation(piece, (), (Node(piece, known),)))
            continue
        if len(piece) > MAX_BYTES:
            raise ValueError(
                f"{show(piece, 40)} is a pretoken of {len(piece):,} bytes; "
                f"merges are shown for up to {MAX_BYTES:,}"
            )
        derivations.append(_derive_pretoken(piece, ranks, ids))
    return derivations


def _derive_pretoken(
    pretoken: bytes, ranks: dict[tuple[bytes, bytes], int], ids: dict[bytes, int]
) -> Derivation:
    """Merges until nothing merges."""
    word = [Node(bytes([byte]), ids[bytes([byte])]) for byte in pretoken]
    steps: list[Step] = []
    while True:
        possible = [
            (ranks[pair], place)
            for place in range(len(word) - 1)
            if (pair := (word[place].token, word[place + 1].token)) in ranks
        ]
        if not possible:
            return Derivation(pretoken, tuple(steps), tuple(word))
        rank, place = min(possible)
        left, right = word[place : place + 2]
        token = left.token + right.token
        word[place : place + 2] = [Node(token, ids[token], rank, (left, right))]
        steps.append(Step(rank, left.token, right.token, tuple(node.token for node in word)))


def _draw(nodes: tuple[Node, ...], indent: str, *, top: bool = False) -> Iterator[str]:
    """The lines of nodes that hang below one, and of all that hangs below them."""
    for node in nodes:
        last = node is nodes[-1]
        notes = [f"id {node.id}"] if top or node.parts else []
        notes += [f"merge {node.rank}"] if node.rank is not None else []
        yield f"{indent}{'└─ ' if last else '├─ '}{show(node.token)}  {', '.join(notes)}".rstrip()
        yield from _draw(node.parts, indent + ("   " if last else "│  "))
