"""The cosine schedule against the course's formula, and over whole runs."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from curves import curve, of_transformers
from hypothesis import given
from hypothesis import strategies as st

from byteloom.optim import CosineConfig, cosine_schedule

rates = st.floats(0.0, 10.0)


def course(it: int, max_lr: float, min_lr: float, warmup: int, cycle: int) -> float:
    """The course's three cases, as its text has them."""
    if it < warmup:
        return it / warmup * max_lr
    if it <= cycle:
        angle = (it - warmup) / (cycle - warmup) * math.pi
        return min_lr + 0.5 * (1 + math.cos(angle)) * (max_lr - min_lr)
    return min_lr


@given(
    it=st.integers(0, 3000),
    lrs=st.tuples(rates, rates),
    warmup=st.integers(0, 1000),
    decay=st.integers(1, 1000),
)
def test_it_is_the_courses_formula(
    it: int, lrs: tuple[float, float], warmup: int, decay: int
) -> None:
    low, high = sorted(lrs)
    got = cosine_schedule(it, high, low, warmup, warmup + decay)
    assert got == pytest.approx(course(it, high, low, warmup, warmup + decay), rel=1e-9, abs=1e-12)
    assert (0.0 if it < warmup else low) <= got * (1 + 1e-12) and got <= high * (1 + 1e-12)


@given(warmup=st.integers(1, 200), decay=st.integers(1, 200), lrs=st.tuples(rates, rates))
def test_it_rises_then_falls_then_stays(warmup: int, decay: int, lrs: tuple[float, float]) -> None:
    low, high = sorted(lrs)
    cycle = warmup + decay
    curve = [cosine_schedule(it, high, low, warmup, cycle) for it in range(cycle + 20)]
    assert curve[0] == 0.0
    assert curve[warmup] == pytest.approx(high)
    assert curve[cycle] == pytest.approx(low)
    assert all(a <= b for a, b in pairwise(curve[: warmup + 1]))
    assert all(a >= b - 1e-12 for a, b in pairwise(curve[warmup : cycle + 1]))
    assert set(curve[cycle + 1 :]) == {low}


def test_it_takes_the_edges() -> None:
    assert cosine_schedule(0, 1.0, 0.1, 0, 10) == 1.0
    assert cosine_schedule(5, 1.0, 0.1, 0, 10) == pytest.approx(0.55)
    # Warm-up that fills the whole cycle, and a cycle of nothing.
    assert cosine_schedule(4, 1.0, 0.1, 5, 5) == pytest.approx(0.8)
    assert cosine_schedule(6, 1.0, 0.1, 5, 5) == 0.1
    assert cosine_schedule(10**9, 1.0, 0.1, 5, 10) == 0.1


@given(
    warmup=st.integers(0, 300),
    steps=st.integers(1, 300),
    lrs=st.tuples(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0)),
)
def test_a_cosine_run_learns_from_its_first_step_to_its_last(
    warmup: int, steps: int, lrs: tuple[float, float]
) -> None:
    low, high = sorted(lrs)
    schedule = CosineConfig(max_lr=high, min_lr=low, warmup_steps=warmup).build(steps)
    curve = [schedule(done) for done in range(steps)]
    assert all(0 < lr <= high * (1 + 1e-12) for lr in curve)
    assert curve[-1] == pytest.approx(low)
    if warmup < steps:
        # The course's schedule, one step on.
        want = [course(done + 1, high, low, warmup, steps) for done in range(steps)]
        assert curve == pytest.approx(want)


@pytest.mark.parametrize("warmup", [10, 11, 1000])
def test_a_warmup_longer_than_the_run_still_trains(warmup: int) -> None:
    schedule = CosineConfig(max_lr=1.0, min_lr=0.1, warmup_steps=warmup).build(10)
    curve = [schedule(done) for done in range(10)]
    assert all(lr > 0 for lr in curve)
    assert all(a < b for a, b in pairwise(curve[:-1]))
    assert all(math.isfinite(lr) and lr <= 1.0 for lr in curve)


@pytest.mark.parametrize("warmup", [0, 1, 7, 19])
def test_it_is_transformers(warmup: int) -> None:
    found = curve(CosineConfig(max_lr=0.3, min_lr=0.0, warmup_steps=warmup), 20)
    want = of_transformers("cosine", 0.3, 20, num_warmup_steps=warmup)
    assert found == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize(
    ("max_lr", "min_lr"), [(0.1, 0.2), (-1.0, -2.0), (1.0, -0.1), (math.nan, 0.0), (1.0, math.nan)]
)
def test_impossible_cosine_rates_are_refused(max_lr: float, min_lr: float) -> None:
    with pytest.raises(ValueError, match=rf"min_lr {min_lr} and max_lr {max_lr}"):
        CosineConfig(max_lr=max_lr, min_lr=min_lr)


def test_a_negative_warmup_is_refused() -> None:
    with pytest.raises(ValueError, match="warmup_steps is -1; it must be 0 or more"):
        CosineConfig(warmup_steps=-1)
