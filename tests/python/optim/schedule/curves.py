"""What the schedules' tests share: whole runs, what must hold in all, and transformers' numbers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from byteloom.optim import ScheduleConfig

#: (lower, higher) learning rates.
rates = st.tuples(st.floats(0.0, 10.0), st.floats(0.0, 10.0)).map(sorted)
lengths = st.integers(0, 300)


def curve(config: ScheduleConfig, steps: int, beyond: int = 0) -> list[float]:
    """The learning rates of all steps of a run, and of some after its end."""
    schedule = config.build(steps)
    return [schedule(done) for done in range(steps + beyond)]


def check_warmup(found: list[float], max_lr: float, warmup: int) -> None:
    """It rises in a straight line to ``max_lr`` at step ``warmup``, the last step apart."""
    end = min(warmup, len(found))
    for step in range(1, end):
        assert found[step - 1] == pytest.approx(max_lr * step / end)
    if 0 < warmup < len(found):
        assert found[warmup - 1] == max_lr


def check_fall(found: list[float], max_lr: float, min_lr: float, warmup: int) -> None:
    """From the warm-up on it never rises, lies within its bounds, and ends at the lower."""
    assert all(0 <= lr <= max_lr for lr in found)
    after = found[max(0, warmup - 1) :]
    assert all(a >= b >= min_lr for a, b in pairwise(after))
    assert found[-1] == min_lr


def of_transformers(name: str, max_lr: float, steps: int, **options: Any) -> list[float]:
    """The rates of steps 1 to ``steps`` as transformers counts them, whose first is 0."""
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=max_lr)
    scheduler = get_scheduler(name, optimizer, num_training_steps=steps, **options)
    found = []
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        found.append(scheduler.get_last_lr()[0])
    return found
