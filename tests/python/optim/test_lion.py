"""Lion against its formula, number by number."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from steps import check_resumption, compare, make_params
from torch import nn

from byteloom.nn import Embedding, Linear
from byteloom.optim import Lion, LionConfig


class SlowLion(torch.optim.Optimizer):
    """Algorithm 2 of the paper, in double precision."""

    def __init__(self, params: Any, lr: float, betas: tuple[float, float], weight_decay: float):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                g, m = p.grad.double(), self.state[p].get("m", torch.zeros_like(p).double())
                c = beta1 * m + (1 - beta1) * g
                theta = p.double()
                p.copy_(theta - group["lr"] * (c.sign() + group["weight_decay"] * theta))
                self.state[p]["m"] = beta2 * m + (1 - beta2) * g


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"betas": (0.9, 0.99), "weight_decay": 0.0},
        {"betas": (0.95, 0.98), "weight_decay": 1.0},
        {"betas": (0.0, 0.0), "weight_decay": 0.3},
    ],
)
def test_fifty_steps_are_the_formulas(settings: dict[str, Any], late: bool) -> None:
    own = Lion(make_params(), lr=0.01, **settings)
    compare(own, SlowLion(make_params(), lr=0.01, **settings), late=late)


def test_every_number_moves_by_the_rate_or_not_at_all() -> None:
    p = nn.Parameter(torch.zeros(3))
    p.grad = torch.tensor([1e-20, -1e20, 0.0])
    Lion([p], lr=0.25, weight_decay=0.5).step()
    assert p.tolist() == [-0.25, 0.25, 0.0]


def test_a_state_dict_goes_on_to_the_same_bits() -> None:
    check_resumption(lambda params: Lion(params, lr=0.01, weight_decay=0.5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -1.0}, r"lr is -1\.0; it must not be negative"),
        ({"weight_decay": -0.1}, r"weight_decay is -0\.1"),
        ({"betas": (0.9, 1.0)}, r"betas are 0\.9 and 1\.0"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lion(make_params(), **settings)
    if "lr" not in settings:
        with pytest.raises(ValueError, match=message):
            LionConfig(**settings)


def test_the_configuration_builds_what_it_says() -> None:
    model = nn.Sequential(Embedding(5, 4), Linear(4, 4))
    optimizer = LionConfig(betas=(0.7, 0.8), weight_decay=0.25).build(model)
    assert isinstance(optimizer, Lion)
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.25, 0.0]
    assert all(group["betas"] == (0.7, 0.8) for group in optimizer.param_groups)
