"""Which source each window of a run comes from: exact shares, in a shuffled order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from byteloom.data.permutation import Permutation

#: Windows in a block, where no share is so small that it needs a larger one.
_BLOCK = 256
#: A share is at least one in so many: a block is computed as a whole.
_MOST = 1_000_000
#: Sets the keys of blocks apart from those of epochs, which end in the number of a source.
_ORDER = 1 << 63


class Mixture:
    """Gives each number of a run a source, and a number within that source, by weights.

    The numbers are cut into blocks. Before each block, every source has had its share of them to
    within one. Which numbers of a block it gets is shuffled; those it gets, in turn, are its own
    0, 1, 2 ... Nothing is stored but the last block asked for.

    With c the cumulative shares, source j has round(c[j+1] n) - round(c[j] n) of the n numbers
    before a block: these add up to n. Where a source had less than two windows of a block, that
    could shrink from one block to the next; hence small shares make blocks larger.

    Args:
        weights: one for each source; their sum is of no matter.
        seed: of the orders.

    Raises:
        ValueError: no weights; one that is not positive and finite, or less than a millionth of
            their sum.

    Example:
        >>> mixture = Mixture([3, 1], seed=0)
        >>> sources, numbers = mixture.of(0, 256)
        >>> np.bincount(sources).tolist(), numbers[sources == 1][:4].tolist()
        ([192, 64], [0, 1, 2, 3])
        >>> mixture.before(1024)
        [768, 256]
    """

    def __init__(self, weights: Sequence[float], seed: int) -> None:
        if not weights:
            raise ValueError("a mixture of no sources: give at least one weight")
        for weight in weights:
            if not (math.isfinite(weight) and weight > 0):
                raise ValueError(f"weight {weight}: must be above 0 and finite")
        exact = [Fraction(weight) for weight in weights]
        total = sum(exact)
        #: Part of the windows that each source gives; they add up to 1.
        self.shares = [weight / total for weight in exact]
        smallest = min(self.shares)
        if smallest * _MOST < 1:
            number = self.shares.index(smallest)
            raise ValueError(
                f"source {number} of a mixture would give {float(smallest):.2g} of the windows, "
                f"less than one in {_MOST:,}: leave it out, or give it a greater weight"
            )
        self.seed = seed
        #: Windows in a block.
        self.block = max(_BLOCK, math.ceil(2 / smallest))
        self._bounds = [Fraction(0), *accumulate(self.shares)]
        self._blocks: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def of(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Source, and number within it, of the windows ``first`` to ``first + count - 1``."""
        if len(self.shares) == 1:
            return np.zeros(count, np.int64), np.arange(first, first + count)
        found = []
        while count > 0:
            block, place = divmod(first, self.block)
            taken = min(count, self.block - place)
            found.append([part[place : place + taken] for part in self._block(block)])
            first, count = first + taken, count - taken
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        sources, numbers = zip(*found, strict=True)
        return np.concatenate(sources), np.concatenate(numbers)

    def before(self, number: int) -> list[int]:
        """How many windows of each source come before that number."""
        block, place = divmod(number, self.block)
        counts = self._quotas(block)
        if place:
            some = np.bincount(self._block(block)[0][:place], minlength=len(counts))
            counts = [a + b for a, b in zip(counts, some.tolist(), strict=True)]
        return counts

    def _quotas(self, block: int) -> list[int]:
        """How many windows of each source come before a block."""
        bounds = [round(bound * block * self.block) for bound in self._bounds]
        return [above - below for below, above in pairwise(bounds)]

    def _block(self, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Sources and numbers of a block; the last one asked for is kept."""
        if block not in self._blocks:
            before, after = self._quotas(block), self._quotas(block + 1)
            sizes = [b - a for a, b in zip(before, after, strict=True)]
            order = Permutation(self.block, (self.seed, block, _ORDER))
            sources = np.repeat(np.arange(len(sizes)), sizes)[order(np.arange(self.block))]
            numbers = np.empty(self.block, np.int64)
            numbers[np.argsort(sources, kind="stable")] = np.concatenate(
                [np.arange(a, b) for a, b in zip(before, after, strict=True)]
            )
            self._blocks = {block: (sources, numbers)}
        return self._blocks[block]
