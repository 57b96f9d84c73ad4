"""Warm-up, and down with the root of the steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from byteloom.optim.schedule.parts import check_rates, check_steps, fall, rise


@dataclass(frozen=True)
class InverseSqrtConfig:
    """Warm-up, then a rate that falls as 1 / sqrt(step) (Vaswani et al. 2017, arXiv:1706.03762)."""

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    """Selects this member."""
    max_lr: float = 1e-3
    """Learning rate at the end of the warm-up."""
    min_lr: float = 0.0
    """It falls no lower; learning rate at the end of a cooldown."""
    warmup_steps: int = 100
    """Steps in which it rises, in a straight line; four times as many later it is half."""
    cooldown_steps: int = 0
    """Last steps of the run, in which it falls in a straight line to min_lr; 0: there are none,
    and the run's length changes nothing."""

    def __post_init__(self) -> None:
        check_rates(self.max_lr, self.min_lr)
        check_steps("warmup_steps", self.warmup_steps)
        check_steps("cooldown_steps", self.cooldown_steps)

    def build(self, steps: int) -> Callable[[int], float]:
        """The learning rate of the next step by steps done, in a run of ``steps``.

        Where warm-up and cooldown do not both fit in, the cooldown has what the warm-up leaves.
        """

        def plain(it: int) -> float:
            return inverse_sqrt_schedule(it, self.max_lr, self.min_lr, self.warmup_steps)

        # Step 1 is the first, as in the cosine's.
        if not self.cooldown_steps:
            return lambda done: plain(done + 1)
        begin = max(min(self.warmup_steps, steps), steps - self.cooldown_steps)

        def schedule(done: int) -> float:
            it = done + 1
            if it >= steps:
                return self.min_lr
            if it <= begin:
                return plain(it)
            return fall((it - begin) / (steps - begin), plain(begin), self.min_lr, "linear")

        return schedule


def inverse_sqrt_schedule(it: int, max_lr: float, min_lr: float, warmup_iters: int) -> float:
    """Learning rate at iteration ``it``.

    It rises from 0 to ``max_lr`` in ``warmup_iters``, then is ``max_lr`` * sqrt(``warmup_iters`` /
    ``it``), but no less than ``min_lr``.

    Example:
        >>> [inverse_sqrt_schedule(it, 1.0, 0.1, 10) for it in (0, 5, 10, 40, 160, 10**6)]
        [0.0, 0.5, 1.0, 0.5, 0.25, 0.1]
    """
    if it < warmup_iters:
        return rise(it, max_lr, warmup_iters)
    return max(min_lr, max_lr * math.sqrt(max(1, warmup_iters) / max(1, it)))
