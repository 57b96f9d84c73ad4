"""What the members are put together from: a way up, ways down, and refusals."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

Shape: TypeAlias = Literal["linear", "cosine", "sqrt"]


def rise(it: int, max_lr: float, warmup_iters: int) -> float:
    """The warm-up at iteration ``it``: in a straight line from 0, and ``max_lr`` after it."""
    return max_lr * it / warmup_iters if it < warmup_iters else max_lr


def fall(progress: float, max_lr: float, min_lr: float, shape: Shape) -> float:
    """The way from ``max_lr`` to ``min_lr``.

    Args:
        progress: how much of the way is done: 0 at its begin, 1 at its end.
        max_lr: where it begins.
        min_lr: where it ends.
        shape: "linear": a straight line; "cosine": half of one; "sqrt": 1 - sqrt(progress).
    """
    if progress == 0:
        return max_lr  # of which the sum below may lack a bit
    if shape == "linear":
        left = 1 - progress
    elif shape == "cosine":
        left = (1 + math.cos(math.pi * progress)) / 2
    else:
        left = 1 - math.sqrt(progress)
    return min(max_lr, min_lr + (max_lr - min_lr) * left)


def check_rates(max_lr: float, min_lr: float) -> None:
    """Refuses rates that are negative, in the wrong order or no numbers.

    Raises:
        ValueError: naming both.
    """
    if not 0 <= min_lr <= max_lr:
        raise ValueError(
            f"schedule.min_lr {min_lr} and max_lr {max_lr}: 0 <= min_lr <= max_lr must hold"
        )


def check_steps(key: str, steps: int, least: int = 0) -> None:
    """Refuses a number of steps below ``least``.

    Raises:
        ValueError: naming the key and the number.
    """
    if steps < least:
        raise ValueError(f"schedule.{key} is {steps}; it must be {least} or more")
