"""Warm-up, a long stretch without change, and a short way down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from byteloom.optim.schedule.parts import Shape, check_rates, check_steps, fall, rise


@dataclass(frozen=True)
class WSDConfig:
    """Warm-up, stable, decay (Hu et al. 2024, arXiv:2404.06395).

    All runs that differ only in length are the same up to their decay.
    """

    kind: Literal["wsd"] = "wsd"
    """Selects this member."""
    max_lr: float = 1e-3
    """Learning rate between the warm-up and the decay."""
    min_lr: float = 0.0
    """Learning rate at the end of the run."""
    warmup_steps: int = 100
    """Steps in which it rises, in a straight line."""
    decay_fraction: float = 0.2
    """Part of the run in which it falls."""
    decay_steps: int | None = None
    """Steps in which it falls; none: as decay_fraction says."""
    shape: Shape = "sqrt"
    """How it falls: sqrt is 1 - sqrt(progress), best in arXiv:2405.18392."""

    def __post_init__(self) -> None:
        check_rates(self.max_lr, self.min_lr)
        check_steps("warmup_steps", self.warmup_steps)
        if not 0 < self.decay_fraction <= 1:
            raise ValueError(
                f"schedule.decay_fraction is {self.decay_fraction}; it must be in (0, 1]"
            )
        if self.decay_steps is not None:
            check_steps("decay_steps", self.decay_steps, least=1)
            if self.decay_fraction != 0.2:
                raise ValueError(
                    f"schedule.decay_steps is {self.decay_steps} and decay_fraction "
                    f"{self.decay_fraction}: give one of them"
                )

    def build(self, steps: int) -> Callable[[int], float]:
        """The learning rate of the next step by steps done, in a run of ``steps``.

        Where warm-up and decay do not both fit in, the decay has what the warm-up leaves.
        """
        # Step 1 is the first, as in the cosine's.
        decay = self.decay_steps or max(1, round(self.decay_fraction * steps))
        warmup = min(self.warmup_steps, steps)
        begin = max(warmup, steps - decay)
        return lambda done: wsd_schedule(
            done + 1, self.max_lr, self.min_lr, warmup, begin, steps, self.shape
        )


def wsd_schedule(
    it: int,
    max_lr: float,
    min_lr: float,
    warmup_iters: int,
    decay_begin: int,
    total_iters: int,
    shape: Shape = "sqrt",
) -> float:
    """Learning rate at iteration ``it``.

    It rises from 0 to ``max_lr`` in ``warmup_iters``, stays until ``decay_begin``, falls to
    ``min_lr`` at ``total_iters``, and stays there.

    Example:
        >>> its = (0, 5, 10, 20, 25, 30, 99)
        >>> [round(wsd_schedule(it, 1.0, 0.1, 10, 20, 30, "linear"), 3) for it in its]
        [0.0, 0.5, 1.0, 1.0, 0.55, 0.1, 0.1]
    """
    if it >= total_iters:
        return min_lr
    if it <= decay_begin:
        return rise(it, max_lr, warmup_iters)
    return fall((it - decay_begin) / (total_iters - decay_begin), max_lr, min_lr, shape)
