"""Warm-up, stable, decay: its joints, its shapes, and transformers'."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from curves import check_fall, check_warmup, curve, lengths, of_transformers, rates
from hypothesis import given
from hypothesis import strategies as st

from byteloom.optim import WSDConfig, wsd_schedule

SHAPES = ["linear", "cosine", "sqrt"]


@given(
    lrs=rates,
    warmup=lengths,
    steps=st.integers(1, 300),
    fraction=st.floats(0.01, 1.0),
    decay=st.none() | st.integers(1, 400),
    shape=st.sampled_from(SHAPES),
)
def test_it_rises_stays_and_falls(
    lrs: list[float], warmup: int, steps: int, fraction: float, decay: int | None, shape: Any
) -> None:
    low, high = lrs
    falls: Any = {"decay_fraction": fraction} if decay is None else {"decay_steps": decay}
    config = WSDConfig(max_lr=high, min_lr=low, warmup_steps=warmup, shape=shape, **falls)
    found = curve(config, steps, beyond=3)
    assert found[steps:] == [low] * 3
    found = found[:steps]
    check_warmup(found, high, warmup)
    check_fall(found, high, low, min(warmup, steps))
    falling = min(decay or max(1, round(fraction * steps)), max(1, steps - warmup))
    assert found[max(0, warmup - 1) : steps - falling] == (
        [high] * (steps - falling - max(0, warmup - 1))
    )
    if low < 0.9 * high and warmup < steps:
        assert all(lr < high for lr in found[steps - falling :])


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_it_has_no_jump(shape: Any) -> None:
    found = curve(WSDConfig(max_lr=1.0, warmup_steps=100, shape=shape), 1000)
    assert max(abs(a - b) for a, b in pairwise(found)) <= 0.0101


def test_the_root_falls_fast_at_first() -> None:
    found = curve(WSDConfig(max_lr=1.0, warmup_steps=0, decay_steps=100, shape="sqrt"), 200)
    assert found[99:104] == pytest.approx([1 - math.sqrt(i / 100) for i in range(5)])


@pytest.mark.parametrize(
    ("shape", "peer"), [("linear", "linear"), ("cosine", "cosine"), ("sqrt", "1-sqrt")]
)
@pytest.mark.parametrize(("warmup", "decay"), [(0, 5), (6, 10), (10, 20), (1, 1)])
@pytest.mark.parametrize("low", [0.0, 0.03])
def test_it_is_transformers(shape: Any, peer: str, warmup: int, decay: int, low: float) -> None:
    config = WSDConfig(max_lr=0.3, min_lr=low, warmup_steps=warmup, decay_steps=decay, shape=shape)
    want = of_transformers(
        "warmup_stable_decay",
        0.3,
        30,
        num_warmup_steps=warmup,
        scheduler_specific_kwargs={
            "num_decay_steps": decay,
            "decay_type": peer,
            "min_lr_ratio": low / 0.3,
        },
    )
    # Its warm-up begins at min_lr, not at 0.
    assert curve(config, 30)[warmup:] == pytest.approx(want[warmup:], abs=1e-12)


def test_runs_of_all_lengths_begin_alike() -> None:
    config = WSDConfig(warmup_steps=10, decay_steps=20)
    assert curve(config, 100)[:80] == curve(config, 1000)[:80]


def test_the_corners() -> None:
    its = (0, 2, 4, 8, 10, 12, 10**9)
    assert [wsd_schedule(it, 1.0, 0.2, 4, 8, 12, "linear") for it in its] == (
        pytest.approx([0.0, 0.5, 1.0, 1.0, 0.6, 0.2, 0.2])
    )
    linear: Any = {"max_lr": 1.0, "min_lr": 0.1, "shape": "linear"}
    assert curve(WSDConfig(warmup_steps=99, **linear), 4) == [0.25, 0.5, 0.75, 0.1]
    assert curve(WSDConfig(warmup_steps=2, decay_steps=99, **linear), 4) == (
        pytest.approx([0.5, 1.0, 0.55, 0.1])
    )
    assert curve(WSDConfig(**linear), 1) == [0.1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_lr": 0.1, "min_lr": 0.2}, r"min_lr 0\.2 and max_lr 0\.1"),
        ({"warmup_steps": -1}, "warmup_steps is -1; it must be 0 or more"),
        ({"decay_steps": 0}, "decay_steps is 0; it must be 1 or more"),
        ({"decay_fraction": 0.0}, r"decay_fraction is 0\.0; it must be in \(0, 1\]"),
        ({"decay_fraction": 1.5}, r"decay_fraction is 1\.5"),
        ({"decay_fraction": math.nan}, "decay_fraction is nan"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WSDConfig(**settings)
