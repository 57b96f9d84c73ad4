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

    An epoch cuts the targets, all ids but the first, into windows of ``context_length`` that follow
    each other, and visits every window once, in an order of its own. Where the cuts are is its own,
    too: so the first and the last window are shorter. They begin before the row, or end behind it,
    and are read at full length where it begins and ends (:meth:`within`): what is read of the
    neighbour's then is a context only.

    Args:
        tokens: ids, mapped or in memory.
        context_length: ids in a window.
        seed: of the orders and the cuts.
        source: tells apart the rows of ids that have one seed.
        following: ids that are read behind a window: the last target, or 0, where ids are no
            targets of those before them.

    Raises:
        ValueError: fewer ids than one window takes.

    Example:
        >>> windows = Windows(np.arange(100, dtype=np.uint16), 24, seed=0)
        >>> windows.per_epoch, sorted(windows.starts(5, 5))
        (5, [-10, 14, 38, 62, 86])
        >>> [len(windows.read(start)) for start in windows.starts(5, 5)]
        [25, 25, 25, 25, 25]
    """

    def __init__(
        self, tokens: Tokens, context_length: int, seed: int, source: int = 0, following: int = 1
    ) -> None:
        check_tokens(tokens, context_length, following)
        self.ids = ids_of(tokens)
        self.context_length = context_length
        self.seed = seed
        # The first source has no number in its keys: alone, it is what it was before mixtures.
        self._source = (source,) if source else ()
        self._following = following
        #: What an epoch cuts up.
        self._size = len(self.ids) - following
        self._firsts = first_lengths(self._size, context_length)
        #: Windows in an epoch.
        self.per_epoch = 1 - (self._firsts.start - self._size) // context_length
        self._epochs: dict[int, tuple[int, Permutation]] = {}

    def starts(self, first: int, count: int) -> list[int]:
        """Where the windows number ``first`` to ``first + count - 1`` begin.

        That is below 0 for the first of an epoch, unless it is whole.
        """
        found: list[int] = []
        while len(found) < count:
            epoch, place = divmod(first + len(found), self.per_epoch)
            until = min(self.per_epoch, place + count - len(found))
            offset, order = self._epoch(epoch)
            windows = order(np.arange(place, until)).tolist()
            found += [offset + window * self.context_length for window in windows]
        return found

    def in_order(self) -> range:
        """Where the windows begin that follow each other from the first id on.

        The last may end behind the ids.
        """
        return range(0, self._size, self.context_length)

    def within(self, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where those windows are read: none begins before the ids, or ends behind them."""
        return np.clip(starts, 0, self._size - self.context_length)

    def read(self, start: int) -> NDArray[Any]:
        """The ids of the window that begins there, and those that follow it."""
        begin = int(self.within(np.array(start)))
        found: NDArray[Any] = self.ids[begin : begin + self.context_length + self._following]
        return found

    def _epoch(self, epoch: int) -> tuple[int, Permutation]:
        """Where an epoch's first window begins, and its order; the last one asked for is kept."""
        if epoch not in self._epochs:
            key = (epoch, *self._source)
            firsts = self._firsts
            first = int(generator_of(self.seed, *key).integers(firsts.start, firsts.stop))
            order = Permutation(self.per_epoch, (self.seed, *key))
            self._epochs = {epoch: (first - self.context_length, order)}
        return self._epochs[epoch]


def windows_of(
    tokens: Tokens | Sequence[Tokens], context_length: int, seed: int, following: int = 1
) -> list[Windows]:
    """Those of one row of ids, or of each of several."""
    rows = [tokens] if isinstance(tokens, TokenFile | np.ndarray) else tokens
    return [Windows(row, context_length, seed, i, following) for i, row in enumerate(rows)]


def first_lengths(size: int, context_length: int) -> range:
    """How long the first window of an epoch may be, so that all epochs have as many windows.

    Cuts come from the first on every ``context_length``. With ``rest`` behind the last cut if the
    first window is whole, a first window of ``rest`` or more makes as many windows as can be, and a
    shorter one makes one more: the larger of the two ranges is taken, at least half of all lengths.
    What fits into one window stays whole.

    Example:
        >>> first_lengths(20, 8), first_lengths(22, 8), first_lengths(24, 8), first_lengths(8, 8)
        (range(4, 9), range(1, 6), range(1, 8), range(8, 9))
    """
    rest = (size - 1) % context_length + 1
    fewest, one_more = range(rest, context_length + 1), range(1, rest)
    return fewest if size <= context_length or len(fewest) >= len(one_more) else one_more


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


def check_tokens(tokens: Tokens, context_length: int, following: int = 1) -> None:
    """Makes sure that there is a window.

    Raises:
        ValueError: no row of ids, or fewer than one window takes.
    """
    if context_length < 1:
        raise ValueError(f"context_length {context_length}: must be at least 1")
    if ids_of(tokens).ndim != 1:
        raise ValueError(f"tokens have shape {ids_of(tokens).shape}: must be one row of ids")
    if len(tokens) < (least := context_length + following):
        name = str(tokens.path) if isinstance(tokens, TokenFile) else "the token array"
        after = " and the id after it" if following else ""
        raise ValueError(
            f"{name} has {len(tokens):,} ids: one window takes {least:,} "
            f"(context_length {context_length:,}{after})"
        )
