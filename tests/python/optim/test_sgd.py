"""SGD against torch's own, step by step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from steps import check_resumption, compare, make_params
from torch import nn

from byteloom.nn import Embedding, Linear
from byteloom.optim import SGD, SGDConfig

SETTINGS: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.3},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1},
]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("settings", SETTINGS)
def test_fifty_steps_are_torchs(settings: dict[str, Any], late: bool) -> None:
    own = SGD(make_params(), lr=0.01, **settings)
    compare(own, torch.optim.SGD(make_params(), lr=0.01, **settings), late=late)


def test_the_defaults_are_torchs() -> None:
    own, peer = SGD(make_params()).defaults, torch.optim.SGD(make_params()).defaults
    assert own == {name: peer[name] for name in own}


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_state_dict_goes_on_to_the_same_bits(settings: dict[str, Any]) -> None:
    check_resumption(lambda params: SGD(params, lr=0.01, **settings))


def test_the_gradient_is_left_alone() -> None:
    (p,) = params = make_params(((3, 4),))
    optimizer = SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True)
    gradient = torch.randn(3, 4)
    for _ in range(3):
        p.grad = gradient.clone()
        optimizer.step()
        assert torch.equal(p.grad, gradient)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -1.0}, r"lr is -1\.0; it must not be negative"),
        ({"momentum": 1.0}, r"momentum is 1\.0; it must be in \[0, 1\)"),
        ({"momentum": math.nan}, "momentum is nan"),
        ({"dampening": 1.5}, r"dampening is 1\.5; it must be in \[0, 1\]"),
        ({"weight_decay": -0.1}, r"weight_decay is -0\.1"),
        ({"nesterov": True, "momentum": 0.0}, "nesterov needs a momentum above 0"),
        ({"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "and no dampening"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SGD(make_params(), **settings)
    if "lr" not in settings:
        with pytest.raises(ValueError, match=message):
            SGDConfig(**settings)


def test_the_configuration_builds_what_it_says() -> None:
    model = nn.Sequential(Embedding(5, 4), Linear(4, 4))
    config = SGDConfig(momentum=0.7, nesterov=True, weight_decay=0.25)
    optimizer = config.build(model)
    assert isinstance(optimizer, SGD)
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.25, 0.0]
    for group in optimizer.param_groups:
        assert (group["momentum"], group["nesterov"], group["dampening"]) == (0.7, True, 0.0)
    (plain, _) = SGDConfig(dampening=0.5).build(model).param_groups
    assert plain["dampening"] == 0.5
