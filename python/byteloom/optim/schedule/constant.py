"""Warm-up, and no change after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from byteloom.optim.schedule.parts import check_steps, rise


@dataclass(frozen=True)
class ConstantConfig:
    """Warm-up and a constant learning rate."""

    kind: Literal["constant"] = "constant"
    """Selects this member."""
    max_lr: float = 1e-3
    """Learning rate after the warm-up."""
    warmup_steps: int = 100
    """Steps in which it rises, in a straight line."""

    def __post_init__(self) -> None:
        if not self.max_lr >= 0:
            raise ValueError(f"schedule.max_lr is {self.max_lr}; it must not be negative")
        check_steps("warmup_steps", self.warmup_steps)

    def build(self, steps: int) -> Callable[[int], float]:
        """The learning rate of the next step by steps done; ``steps`` changes nothing."""
        return lambda done: rise(done + 1, self.max_lr, self.warmup_steps)
