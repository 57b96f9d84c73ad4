"""A shuffled order of billions of things that is computed, not stored."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Indices: TypeAlias = NDArray[np.uint64]

_ROUNDS = 8


class Permutation:
    """A pseudo-random bijection of 0 .. size - 1, evaluated at any point without memory.

    A Feistel network over mixed radices (Black and Rogaway, "Ciphers with Arbitrary Finite
    Domains", 2002): an index is a pair of digits (left, right), each round adds to one digit a
    hash of the other, which can be undone, so the whole is a bijection of the pairs. The pairs
    are a few more than ``size``; an image outside is mapped again until it falls inside.

    Args:
        size: how many things; up to 2**62.
        key: different keys give different orders; any integers.

    Example:
        >>> order = Permutation(10, key=(1234, 0))
        >>> sorted(order(np.arange(10)).tolist()) == list(range(10))
        True
    """

    def __init__(self, size: int, key: tuple[int, ...]) -> None:
        if not 0 < size <= 1 << 62:
            raise ValueError(f"a permutation of {size} things: must be 1 to 2**62")
        self.size = size
        # No smaller than two: a digit of one value would never move the other.
        self._left = np.uint64(max(2, math.isqrt(size - 1) + 1))
        self._right = np.uint64(max(2, -(-size // int(self._left))))
        entropy = np.random.SeedSequence([part % (1 << 64) for part in key])
        self._round_keys = entropy.generate_state(_ROUNDS, np.uint64)

    def __call__(self, indices: NDArray[np.integer]) -> Indices:
        """Images of indices in [0, size): an array of the same shape."""
        found = self._network(np.asarray(indices).astype(np.uint64))
        while (outside := found >= self.size).any():
            found[outside] = self._network(found[outside])
        return found

    def _network(self, indices: Indices) -> Indices:
        left, right = indices // self._right, indices % self._right
        for number, key in enumerate(self._round_keys):
            if number % 2:
                right = (right + _mix(left + key) % self._right) % self._right
            else:
                left = (left + _mix(right + key) % self._left) % self._left
        return left * self._right + right


def _mix(x: Indices) -> Indices:
    """The finalizer of SplitMix64: every input bit moves every output bit. Wraps around."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
