"""Which batches a step takes, when the number of them grows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Plan:
    """How many batches each step accumulates: from 1 to ``accumulation``, in ``warmup`` steps.

    Batches are numbered through the run, so that a step's are known without those before it.

    Example:
        >>> plan = Plan(accumulation=3, warmup=4)
        >>> [plan.batches_of(step) for step in range(6)]
        [1, 1, 2, 2, 3, 3]
        >>> plan.before(4)
        6
    """

    accumulation: int
    warmup: int = 0

    def batches_of(self, step: int) -> int:
        """How many a step takes, counted from 0."""
        if step >= self.warmup:
            return self.accumulation
        return 1 + (self.accumulation - 1) * step // self.warmup

    def before(self, step: int) -> int:
        """How many the steps before this one take."""
        if step <= self.warmup:
            return int(self._sums[step])
        return int(self._sums[-1]) + (step - self.warmup) * self.accumulation

    @cached_property
    def _sums(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        counts = [self.batches_of(step) for step in range(self.warmup)]
        return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
