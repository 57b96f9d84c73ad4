"""Warm-up, and half a cosine down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from byteloom.optim.schedule.parts import check_rates, check_steps, fall, rise


@dataclass(frozen=True)
class CosineConfig:
    """Warm-up and cosine decay (Loshchilov & Hutter 2016, arXiv:1608.03983)."""

    kind: Literal["cosine"] = "cosine"
    """Selects this member."""
    max_lr: float = 1e-3
    """Learning rate at the end of the warm-up."""
    min_lr: float = 1e-4
    """Learning rate at the end of the run."""
    warmup_steps: int = 100
    """Steps in which it rises, in a straight line."""

    def __post_init__(self) -> None:
        check_rates(self.max_lr, self.min_lr)
        check_steps("warmup_steps", self.warmup_steps)

    def build(self, steps: int) -> Callable[[int], float]:
        """The learning rate of the next step by steps done, in a run of ``steps``."""
        # Step 1 is the first: at iteration 0 the learning rate is 0, and nothing would be learned.
        warmup = min(self.warmup_steps, steps)
        return lambda done: cosine_schedule(done + 1, self.max_lr, self.min_lr, warmup, steps)


def cosine_schedule(
    it: int, max_lr: float, min_lr: float, warmup_iters: int, cosine_cycle_iters: int
) -> float:
    """Learning rate at iteration ``it``.

    It rises from 0 to ``max_lr`` in ``warmup_iters``, falls along half a cosine to ``min_lr`` at
    ``cosine_cycle_iters``, and stays there.

    Example:
        >>> [round(cosine_schedule(it, 1.0, 0.1, 10, 30), 3) for it in (0, 5, 10, 20, 30, 99)]
        [0.0, 0.5, 1.0, 0.55, 0.1, 0.1]
    """
    if it < warmup_iters:
        return rise(it, max_lr, warmup_iters)
    if it > cosine_cycle_iters or cosine_cycle_iters == warmup_iters:
        return min_lr
    progress = (it - warmup_iters) / (cosine_cycle_iters - warmup_iters)
    return fall(progress, max_lr, min_lr, "cosine")
