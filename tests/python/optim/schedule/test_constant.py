"""The constant schedule: warm-up, and then nothing."""

from __future__ import annotations

import math

import pytest
from curves import curve, of_transformers
from hypothesis import given
from hypothesis import strategies as st

from byteloom.optim import ConstantConfig


@given(
    warmup=st.integers(0, 300),
    done=st.integers(0, 1000),
    lr=st.floats(0.0, 1.0),
    steps=st.integers(1),
)
def test_the_constant_schedule_warms_up_and_stays(
    warmup: int, done: int, lr: float, steps: int
) -> None:
    got = ConstantConfig(max_lr=lr, warmup_steps=warmup).build(steps)(done)
    want = lr if done + 1 >= warmup else lr * (done + 1) / warmup
    assert got == pytest.approx(want)
    if lr > 1e-300:
        assert got > 0


@pytest.mark.parametrize("warmup", [0, 1, 7, 30])
def test_it_is_transformers(warmup: int) -> None:
    found = curve(ConstantConfig(max_lr=0.3, warmup_steps=warmup), 20)
    want = of_transformers("constant_with_warmup", 0.3, 20, num_warmup_steps=warmup)
    assert found == pytest.approx(want)


@pytest.mark.parametrize("max_lr", [-1.0, math.nan])
def test_an_impossible_constant_rate_is_refused(max_lr: float) -> None:
    with pytest.raises(ValueError, match=rf"max_lr is {max_lr}; it must not be negative"):
        ConstantConfig(max_lr=max_lr)


def test_a_negative_warmup_is_refused() -> None:
    with pytest.raises(ValueError, match="warmup_steps is -1; it must be 0 or more"):
        ConstantConfig(warmup_steps=-1)
