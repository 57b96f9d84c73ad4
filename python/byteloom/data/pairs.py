"""Two segments of text: of one document, one after the other, or of two documents."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from byteloom.data.order import IGNORED
from byteloom.data.permutation import Permutation
from byteloom.data.windows import Tokens, Windows, ids_of

#: Ids looked at together when a whole row is scanned: memory does not follow the row.
_CHUNK = 1 << 22


class Segments(NamedTuple):
    """What a model reads at once."""

    first: NDArray[Any]
    """Ids, shape (n,)."""
    second: NDArray[Any]
    """Ids, shape (m,); empty: there is none."""
    label: int
    """0: the second follows the first; 1: it is of another document; ``IGNORED``: no second."""


class Singles(Windows):
    """Windows without a second segment, whatever documents they are of.

    Those of RoBERTa's "full sentences" (arXiv:1907.11692). The arguments are those of
    :class:`Windows`. All are whole: the first and the last of an epoch share ids with their
    neighbours.
    """

    def __init__(self, tokens: Tokens, context_length: int, seed: int, source: int = 0) -> None:
        super().__init__(tokens, context_length, seed, source, following=0)

    def segments(self, start: int, chance: np.random.Generator) -> Segments:
        """The window that begins there."""
        window = self.read(start)
        return Segments(window, window[:0], IGNORED)


class Pairs:
    """Pieces of documents, cut in two, whose second part is exchanged in half of the cases.

    As in BERT (arXiv:1810.04805), where it trains the prediction of the next sentence; as token
    files know no sentences, a piece is cut between any two tokens. Documents are cut into as few
    pieces as possible, all about as long; an epoch has each piece once, in an order of its own. The
    part that is put in is, where its document has so much, as long as what it stands for, so that
    its length gives nothing away.

    Args:
        tokens: ids, mapped or in memory.
        length: the most ids of both segments.
        seed: of the order.
        separator: the id that ends a document, and goes into no segment.
        source: tells apart the rows of ids that have one seed.

    Raises:
        ValueError: a length below 3; fewer than two documents of two ids.

    Example:
        >>> pairs = Pairs(np.array([5, 6, 7, 0, 8, 9, 0]), 4, seed=0, separator=0)
        >>> first, second, label = pairs.segments(0, np.random.default_rng(0))
        >>> first.tolist(), second.tolist(), label
        ([5, 6], [7], 0)
    """

    def __init__(
        self, tokens: Tokens, length: int, seed: int, separator: int, source: int = 0
    ) -> None:
        if length < 3:
            raise ValueError(f"segments of {length} ids in all: there must be at least 3")
        self.ids = ids_of(tokens)
        self.length = length
        self.seed, self.source = seed, source
        ends = [
            begin + np.flatnonzero(self.ids[begin : begin + _CHUNK] == separator)
            for begin in range(0, len(self.ids), _CHUNK)
        ]
        bounds = np.concatenate([[-1], *ends, [len(self.ids)]])
        begins, sizes = bounds[:-1] + 1, np.diff(bounds) - 1
        #: Where the documents begin that can be cut in two.
        self.begins = begins[sizes >= 2]
        #: Their ids.
        self.sizes = sizes[sizes >= 2]
        if len(self.sizes) < 2:
            name = getattr(tokens, "path", "the token array")
            raise ValueError(
                f"{name} has {len(self.sizes)} documents of two ids or more (the id {separator} "
                "ends a document); to exchange segments there must be two"
            )
        # The number of the first piece of each document.
        self._first = np.concatenate([[0], np.cumsum(-(-self.sizes // length))])
        #: Pieces in an epoch.
        self.per_epoch = int(self._first[-1])
        self._orders: dict[int, Permutation] = {}

    def starts(self, first: int, count: int) -> list[int]:
        """Which pieces of the row the numbers ``first`` to ``first + count - 1`` are."""
        found: list[int] = []
        while len(found) < count:
            epoch, place = divmod(first + len(found), self.per_epoch)
            until = min(self.per_epoch, place + count - len(found))
            if epoch not in self._orders:
                key = (self.seed, epoch, self.source)
                self._orders = {epoch: Permutation(self.per_epoch, key)}
            found += self._orders[epoch](np.arange(place, until)).tolist()
        return found

    def in_order(self) -> range:
        """All pieces, from first to last."""
        return range(self.per_epoch)

    def piece(self, number: int) -> tuple[int, int, int]:
        """The document that a piece is of, and where it begins and ends in the row."""
        document = int(np.searchsorted(self._first, number, side="right")) - 1
        begin, size = int(self.begins[document]), int(self.sizes[document])
        count, place = -(-size // self.length), number - int(self._first[document])
        return document, begin + size * place // count, begin + size * (place + 1) // count

    def segments(self, start: int, chance: np.random.Generator) -> Segments:
        """Cuts the piece of that number, and may exchange its end."""
        document, begin, end = self.piece(start)
        cut = begin + int(chance.integers(1, end - begin))
        first, second = self.ids[begin:cut], self.ids[cut:end]
        if chance.random() < 0.5:
            return Segments(first, second, 0)
        other = int(chance.integers(len(self.sizes) - 1))
        other += other >= document
        size = int(self.sizes[other])
        place = int(self.begins[other]) + int(chance.integers(max(1, size - len(second) + 1)))
        stop = min(place + len(second), int(self.begins[other]) + size)
        return Segments(first, self.ids[place:stop], 1)
