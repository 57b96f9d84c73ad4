"""Learning rates against the course's formula, and over whole runs."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from byteloom.optim import (
    ConstantConfig,
    CosineConfig,
    InverseSqrtConfig,
    LinearConfig,
    WSDConfig,
    cosine_schedule,
)

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


@pytest.mark.parametrize(
    ("max_lr", "min_lr"), [(0.1, 0.2), (-1.0, -2.0), (1.0, -0.1), (math.nan, 0.0), (1.0, math.nan)]
)
def test_impossible_cosine_rates_are_refused(max_lr: float, min_lr: float) -> None:
    with pytest.raises(ValueError, match=rf"min_lr {min_lr} and max_lr {max_lr}"):
        CosineConfig(max_lr=max_lr, min_lr=min_lr)


@pytest.mark.parametrize("max_lr", [-1.0, math.nan])
def test_an_impossible_constant_rate_is_refused(max_lr: float) -> None:
    with pytest.raises(ValueError, match=rf"max_lr is {max_lr}; it must not be negative"):
        ConstantConfig(max_lr=max_lr)


@pytest.mark.parametrize("make", [CosineConfig, ConstantConfig])
def test_a_negative_warmup_is_refused(make: type[CosineConfig] | type[ConstantConfig]) -> None:
    with pytest.raises(ValueError, match="warmup_steps is -1; it must be 0 or more"):
        make(warmup_steps=-1)


class Rate:
    """What transformers' schedules multiply: an optimizer with one rate."""

    def __init__(self) -> None:
        self.parameter = torch.nn.Parameter(torch.zeros(()))
        self.optimizer = torch.optim.SGD([self.parameter], lr=1.0)

    def curve(self, name: str, warmup: int, steps: int, **options: Any) -> list[float]:
        schedule = transformers.get_scheduler(
            name, self.optimizer, warmup, steps, scheduler_specific_kwargs=options
        )
        rates = []
        for _ in range(steps + 1):
            rates.append(schedule.get_last_lr()[0])
            self.optimizer.step()
            schedule.step()
        return rates[1:]  # ours begins with their second: the first is 0


@pytest.mark.parametrize(("warmup", "steps"), [(0, 20), (5, 20), (7, 50)])
def test_they_are_those_of_transformers_one_step_on(warmup: int, steps: int) -> None:
    def ours(config: Any) -> list[float]:
        schedule = config.build(steps)
        return [schedule(done) for done in range(steps)]

    assert ours(LinearConfig(max_lr=1.0, warmup_steps=warmup)) == pytest.approx(
        Rate().curve("linear", warmup, steps)
    )
    if warmup:
        assert ours(InverseSqrtConfig(max_lr=1.0, warmup_steps=warmup)) == pytest.approx(
            Rate().curve("inverse_sqrt", warmup, steps, timescale=warmup)
        )
    wsd = WSDConfig(max_lr=1.0, warmup_steps=warmup, decay_steps=8, shape="linear")
    theirs = Rate().curve(
        "warmup_stable_decay", warmup, steps, num_decay_steps=8, decay_type="linear"
    )
    assert ours(wsd) == pytest.approx(theirs)


@given(
    kind=st.sampled_from([LinearConfig, WSDConfig, InverseSqrtConfig]),
    warmup=st.integers(0, 60),
    steps=st.integers(1, 120),
    last=st.integers(1, 150),
    shape=st.sampled_from(["linear", "cosine", "sqrt"]),
    lrs=st.tuples(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0)),
)
def test_they_rise_stay_and_fall_to_the_last_step(
    kind: Any, warmup: int, steps: int, last: int, shape: str, lrs: tuple[float, float]
) -> None:
    low, high = sorted(lrs)
    options: dict[str, Any] = {"max_lr": high, "min_lr": low, "warmup_steps": warmup}
    if kind is WSDConfig:
        options |= {"decay_steps": last, "shape": shape}
    if kind is InverseSqrtConfig:
        options |= {"cooldown_steps": last}
    schedule = kind(**options).build(steps)
    curve = [schedule(done) for done in range(steps)]
    assert all(0 < rate <= high * (1 + 1e-12) for rate in curve)
    assert curve[-1] == pytest.approx(low)
    top = min(warmup, steps)
    assert all(a <= b for a, b in pairwise(curve[: max(0, top - 1)]))
    assert all(a >= b - 1e-12 for a, b in pairwise(curve[top:]))
    assert schedule(10**9) == pytest.approx(low)


def test_wsd_does_not_change_in_the_middle_and_falls_in_its_part() -> None:
    schedule = WSDConfig(max_lr=1.0, warmup_steps=10, decay_fraction=0.2).build(100)
    curve = [schedule(done) for done in range(100)]
    assert set(curve[9:80]) == {1.0} and curve[80] < 1 and curve[-1] == 0
    longer = WSDConfig(max_lr=1.0, warmup_steps=10, decay_fraction=0.2).build(1000)
    assert [longer(done) for done in range(80)] == curve[:80]


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (WSDConfig, {"decay_fraction": 0.0}, "decay_fraction is 0.0"),
        (WSDConfig, {"decay_steps": 0}, "decay_steps is 0"),
        (InverseSqrtConfig, {"cooldown_steps": -1}, "cooldown_steps is -1"),
        (LinearConfig, {"min_lr": 1.0, "max_lr": 0.5}, "min_lr 1.0 and max_lr 0.5"),
    ],
)
def test_other_impossible_settings_are_refused(make: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)
