"""The linear schedule: its corners, its line, and transformers'."""

from __future__ import annotations

import math

import pytest
from curves import check_fall, check_warmup, curve, lengths, of_transformers, rates
from hypothesis import example, given
from hypothesis import strategies as st

from byteloom.optim import LinearConfig, linear_schedule


@given(lrs=rates, warmup=lengths, steps=st.integers(1, 300))
@example(lrs=[0.8, 3.4445], warmup=1, steps=2)  # whose difference and sum lack a bit
def test_it_rises_then_falls_in_a_straight_line(lrs: list[float], warmup: int, steps: int) -> None:
    low, high = lrs
    found = curve(LinearConfig(max_lr=high, min_lr=low, warmup_steps=warmup), steps)
    check_warmup(found, high, warmup)
    check_fall(found, high, low, min(warmup, steps))
    for step in range(max(1, warmup), steps + 1):
        if warmup < steps:
            part = (step - warmup) / (steps - warmup)
            assert found[step - 1] == pytest.approx(high * (1 - part) + low * part)


@pytest.mark.parametrize(("warmup", "steps"), [(0, 20), (1, 20), (7, 20), (19, 20)])
def test_it_is_transformers(warmup: int, steps: int) -> None:
    found = curve(LinearConfig(max_lr=0.3, min_lr=0.0, warmup_steps=warmup), steps)
    assert found == pytest.approx(of_transformers("linear", 0.3, steps, num_warmup_steps=warmup))


def test_the_corners() -> None:
    assert [linear_schedule(it, 1.0, 0.2, 4, 12) for it in (0, 2, 4, 8, 12, 10**9)] == (
        pytest.approx([0.0, 0.5, 1.0, 0.6, 0.2, 0.2])
    )
    assert linear_schedule(0, 1.0, 0.1, 0, 10) == 1.0
    assert curve(LinearConfig(max_lr=1.0, min_lr=0.1, warmup_steps=99), 4) == [0.25, 0.5, 0.75, 0.1]
    assert curve(LinearConfig(max_lr=1.0, min_lr=0.1), 1) == [0.1]


@pytest.mark.parametrize(("max_lr", "min_lr"), [(0.1, 0.2), (1.0, -0.1), (math.nan, 0.0)])
def test_impossible_settings_are_refused(max_lr: float, min_lr: float) -> None:
    with pytest.raises(ValueError, match=rf"min_lr {min_lr} and max_lr {max_lr}"):
        LinearConfig(max_lr=max_lr, min_lr=min_lr)
    with pytest.raises(ValueError, match="warmup_steps is -1; it must be 0 or more"):
        LinearConfig(warmup_steps=-1)
