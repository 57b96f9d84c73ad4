"""Warm-up, and a straight line down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from byteloom.optim.schedule.parts import check_rates, check_steps, fall, rise


@dataclass(frozen=True)
class LinearConfig:
    """Warm-up and linear decay; to zero it is hard to beat (arXiv:2310.07831)."""

    kind: Literal["linear"] = "linear"
    """Selects this member."""
    max_lr: float = 1e-3
    """Learning rate at the end of the warm-up."""
    min_lr: float = 0.0
    """Learning rate at the end of the run."""
    warmup_steps: int = 100
    """Steps in which it rises, in a straight line."""

    def __post_init__(self) -> None:
        check_rates(self.max_lr, self.min_lr)
        check_steps("warmup_steps", self.warmup_steps)

    def build(self, steps: int) -> Callable[[int], float]:
        """The learning rate of the next step by steps done, in a run of ``steps``."""
        # Step 1 is the first, as in the cosine's.
        warmup = min(self.warmup_steps, steps)
        return lambda done: linear_schedule(done + 1, self.max_lr, self.min_lr, warmup, steps)


def linear_schedule(
    it: int, max_lr: float, min_lr: float, warmup_iters: int, total_iters: int
) -> float:
    """Learning rate at iteration ``it``.

    It rises from 0 to ``max_lr`` in ``warmup_iters``, falls in a straight line to ``min_lr`` at
    ``total_iters``, and stays there.

    Example:
        >>> [round(linear_schedule(it, 1.0, 0.1, 10, 30), 3) for it in (0, 5, 10, 20, 30, 99)]
        [0.0, 0.5, 1.0, 0.55, 0.1, 0.1]
    """
    if it < warmup_iters:
        return rise(it, max_lr, warmup_iters)
    if it >= total_iters:
        return min_lr
    return fall((it - warmup_iters) / (total_iters - warmup_iters), max_lr, min_lr, "linear")
