"""Where the windows of one row of ids begin, in an order that is a pure function of the seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from byteloom.data.order import generator_of
from byteloom.data.permutation import Permutation
from byteloom.data.shards import Shards
from byteloom.data.token_file import TokenFile

#: What ids may come as.
Tokens: TypeAlias = TokenFile | NDArray[Any]


class Windows:
    """All windows of a row of ids, numbered through the epochs, any of them from its number alone.

    An epoch cuts the ids into windows of ``context_length`` that follow each other from an offset
    of its own, and visits every window once, in an order of its own.

    Args:
        tokens: ids, mapped or in memory.
        context_length: ids in a window; one more is read, the last target.
        seed: of the orders and the offsets.
        source: tells apart the rows of ids that have one seed.

    Raises:
        ValueError: fewer ids than one window takes.

    Example:
        >>> windows = Windows(np.arange(100, dtype=np.uint16), 24, seed=0)
        >>> windows.per_epoch, [len(windows.read(start)) for start in windows.starts(5, 2)]
        (3, [25, 25])
    """

    def __init__(self, tokens: Tokens, context_length: int, seed: int, source: int = 0) -> None:
        check_tokens(tokens, context_length)
        self.ids = ids_of(tokens)
        self.context_length = context_length
        self.seed = seed
        # The first source has no number in its keys: alone, it is what it was before mixtures.
        self._source = (source,) if source else ()
        usable = len(self.ids) - 1  # the last id is a target only
        #: Windows in an epoch: one fewer than would fit leaves room for any offset.
        self.per_epoch = max(1, (usable - context_length + 1) // context_length)
        room = usable - self.per_epoch * context_length
        self._offsets = min(context_length, room + 1)
        self._epochs: dict[int, tuple[int, Permutation]] = {}

    def starts(self, first: int, count: int) -> list[int]:
        """Where the windows number ``first`` to ``first + count - 1`` begin."""
        found: list[int] = []
        while len(found) < count:
            epoch, place = divmod(first + len(found), self.per_epoch)
            until = min(self.per_epoch, place + count - len(found))
            offset, order = self._epoch(epoch)
            windows = order(np.arange(place, until)).tolist()
            found += [offset + window * self.context_length for window in windows]
        return found

    def in_order(self) -> range:
        """Where the windows begin that follow each other from the first id on."""
        whole = (len(self.ids) - 1) // self.context_length
        return range(0, whole * self.context_length, self.context_length)

    def read(self, start: int) -> NDArray[Any]:
        """The ids of the window that begins there, and the one after it."""
        found: NDArray[Any] = self.ids[start : start + self.context_length + 1]
        return found

    def _epoch(self, epoch: int) -> tuple[int, Permutation]:
        """An epoch's offset and order; the last one asked for is kept."""
        if epoch not in self._epochs:
            key = (epoch, *self._source)
            offset = int(generator_of(self.seed, *key).integers(self._offsets))
            order = Permutation(self.per_epoch, (self.seed, *key))
            self._epochs = {epoch: (offset, order)}
        return self._epochs[epoch]


def windows_of(tokens: Tokens | Sequence[Tokens], context_length: int, seed: int) -> list[Windows]:
    """Those of one row of ids, or of each of several."""
    rows = [tokens] if isinstance(tokens, TokenFile | np.ndarray) else tokens
    return [Windows(row, context_length, seed, i) for i, row in enumerate(rows)]


def gather(
    ids: NDArray[Any] | Shards, starts: NDArray[np.int64] | Sequence[int], length: int
) -> NDArray[np.int64]:
    """So many ids from each start on: (starts, length).

    Example:
        >>> gather(np.arange(10, dtype=np.uint16), [4, 0], 3).tolist()
        [[4, 5, 6], [0, 1, 2]]
    """
    if not isinstance(ids, Shards):  # in one call: a thread that loops keeps others from running
        return sliding_window_view(np.asarray(ids), length)[starts].astype(np.int64)
    found = np.empty((len(starts), length), dtype=np.int64)
    for row, start in zip(found, starts, strict=True):
        row[:] = ids[start : start + length]
    return found


def ids_of(tokens: Tokens) -> NDArray[Any] | Shards:
    """The ids themselves."""
    return tokens.ids if isinstance(tokens, TokenFile) else tokens


def check_tokens(tokens: Tokens, context_length: int) -> None:
    """Makes sure that there is a window.

    Raises:
        ValueError: no row of ids, or fewer than one window takes.
    """
    if context_length < 1:
        raise ValueError(f"context_length {context_length}: must be at least 1")
    if ids_of(tokens).ndim != 1:
        raise ValueError(f"tokens have shape {ids_of(tokens).shape}: must be one row of ids")
    if len(tokens) <= context_length:
        name = str(tokens.path) if isinstance(tokens, TokenFile) else "the token array"
        raise ValueError(
            f"{name} has {len(tokens):,} ids: one window takes {context_length + 1:,} "
            f"(context_length {context_length:,} and the id after it)"
        )
