"""SGD against torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from byteloom.optim import SGD, SGDConfig
from optim.peers import assert_equal_steps, assert_goes_on_to_the_bit

SHAPES = ((3, 4), (5,), (), (2, 3, 2))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9, "dampening": 0.5},
        {"momentum": 0.5, "weight_decay": 0.1},
        {"weight_decay": 0.3},
    ],
)
def test_it_is_torchs(settings: dict[str, Any]) -> None:
    assert_equal_steps(
        SHAPES,
        lambda params: SGD(params, lr=0.01, **settings),
        lambda params: torch.optim.SGD(params, lr=0.01, **settings),
        rtol=1e-5,
        atol=1e-5,
    )


def test_a_checkpoint_changes_nothing() -> None:
    assert_goes_on_to_the_bit(SHAPES, lambda p: SGD(p, lr=0.01, momentum=0.9))
    assert_goes_on_to_the_bit(SHAPES, lambda p: SGD(p, lr=0.01))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"dampening": 1.5}, "dampening is 1.5"),
        ({"nesterov": True, "momentum": 0.0}, "nesterov needs a momentum"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SGDConfig(**settings)
