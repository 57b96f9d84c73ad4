"""Losses that jump: put down, so that they can be looked into in the morning."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: How much of the past each loss replaces.
_RATE = 0.02
#: Losses after which there is something to compare with.
_ENOUGH = 50


@dataclass
class Spikes:
    """Running mean and variance of the losses; a loss far above is a spike, and left out of them.

    Example:
        >>> spikes = Spikes(threshold=6.0)
        >>> [spikes.see(2.0 + 0.01 * (i % 2)) for i in range(100)] == [False] * 100
        True
        >>> spikes.see(3.0)
        True
    """

    threshold: float
    """Standard deviations above the mean."""
    mean: float = 0.0
    """Of the losses before."""
    variance: float = 0.0
    """Of the same."""
    seen: int = 0
    """How many they were."""

    def see(self, loss: float) -> bool:
        """Whether a loss is a spike."""
        if not math.isfinite(loss):
            return False
        if self.seen >= _ENOUGH and loss > self.mean + self.threshold * self.deviation:
            return True
        # At first the plain mean of all.
        rate = max(_RATE, 1 / (self.seen + 1))
        distance = loss - self.mean
        self.mean += rate * distance
        self.variance = (1 - rate) * (self.variance + rate * distance * distance)
        self.seen += 1
        return False

    @property
    def deviation(self) -> float:
        """The standard deviation; not below a thousandth of the mean."""
        return max(math.sqrt(self.variance), 1e-3 * abs(self.mean))
