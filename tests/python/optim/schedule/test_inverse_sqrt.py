"""The inverse square root: Vaswani's formula, transformers', and the cooldown."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from curves import check_fall, check_warmup, curve, lengths, of_transformers, rates
from hypothesis import given
from hypothesis import strategies as st

from byteloom.optim import InverseSqrtConfig, inverse_sqrt_schedule


@given(d_model=st.integers(1, 4096), warmup=st.integers(1, 5000), step=st.integers(1, 10**6))
def test_it_is_the_papers_formula(d_model: int, warmup: int, step: int) -> None:
    paper = d_model**-0.5 * min(step**-0.5, step * warmup**-1.5)
    highest = (d_model * warmup) ** -0.5
    schedule = InverseSqrtConfig(max_lr=highest, warmup_steps=warmup).build(1)
    assert schedule(step - 1) == pytest.approx(paper)


@pytest.mark.parametrize("warmup", [1, 5, 29, 30])
def test_it_is_transformers(warmup: int) -> None:
    found = curve(InverseSqrtConfig(max_lr=0.3, warmup_steps=warmup), 30)
    assert found == pytest.approx(of_transformers("inverse_sqrt", 0.3, 30, num_warmup_steps=warmup))


@given(lrs=rates, warmup=lengths, steps=st.integers(1, 300), cooldown=st.integers(1, 400))
def test_a_cooldown_ends_at_the_lower_rate(
    lrs: list[float], warmup: int, steps: int, cooldown: int
) -> None:
    low, high = lrs
    settings: Any = {"max_lr": high, "min_lr": low, "warmup_steps": warmup}
    found = curve(InverseSqrtConfig(cooldown_steps=cooldown, **settings), steps, beyond=3)
    assert found[steps:] == [low] * 3
    found = found[:steps]
    check_fall(found, high, low, min(warmup, steps))
    plain = curve(InverseSqrtConfig(**settings), steps)
    begin = min(max(warmup, steps - cooldown), steps - 1)
    assert found[:begin] == plain[:begin]
    if begin >= 1 and warmup < steps:
        # A straight line from the last rate before it.
        line = [
            plain[begin - 1] + (low - plain[begin - 1]) * i / (steps - begin)
            for i in range(1, steps - begin + 1)
        ]
        assert found[begin:] == pytest.approx(line, abs=1e-12)


@given(lrs=rates, warmup=lengths, steps=st.integers(1, 300))
def test_without_one_the_length_changes_nothing(lrs: list[float], warmup: int, steps: int) -> None:
    low, high = lrs
    config = InverseSqrtConfig(max_lr=high, min_lr=low, warmup_steps=warmup)
    found = curve(config, steps)
    assert found == curve(config, 300)[:steps]
    if warmup <= steps:
        check_warmup(found, high, warmup)
    assert all(lr <= high for lr in found)
    assert all(a >= b >= low for a, b in pairwise(found[max(0, warmup - 1) :]))


def test_the_corners() -> None:
    its = (0, 1, 4, 16, 64, 10**9)
    assert [inverse_sqrt_schedule(it, 1.0, 0.1, 4) for it in its] == [0, 0.25, 1.0, 0.5, 0.25, 0.1]
    assert [inverse_sqrt_schedule(it, 1.0, 0.0, 0) for it in (0, 1, 4)] == [1.0, 1.0, 0.5]
    config = InverseSqrtConfig(max_lr=1.0, min_lr=0.1, warmup_steps=99, cooldown_steps=2)
    assert curve(config, 2) == pytest.approx([1 / 99, 0.1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_lr": 0.1, "min_lr": 0.2}, r"min_lr 0\.2 and max_lr 0\.1"),
        ({"max_lr": math.nan}, "max_lr nan"),
        ({"warmup_steps": -1}, "warmup_steps is -1; it must be 0 or more"),
        ({"cooldown_steps": -1}, "cooldown_steps is -1; it must be 0 or more"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InverseSqrtConfig(**settings)
