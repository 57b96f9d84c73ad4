"""Lion against its formula, number by number."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from byteloom.optim import Lion, LionConfig
from optim.peers import assert_equal_steps, assert_goes_on_to_the_bit

SHAPES = ((3, 4), (5,), ())


class WrittenOut(torch.optim.Optimizer):
    """Algorithm 2 of the paper."""

    def __init__(self, params: Any, lr: float, betas: tuple[float, float], decay: float) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].get("m", torch.zeros_like(p))
                update = beta1 * m + (1 - beta1) * p.grad
                p.copy_(p - group["lr"] * (update.sign() + group["decay"] * p))
                self.state[p]["m"] = beta2 * m + (1 - beta2) * p.grad


@pytest.mark.parametrize("betas", [(0.9, 0.99), (0.0, 0.5), (0.95, 0.98)])
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_it_is_the_papers_algorithm(betas: tuple[float, float], decay: float) -> None:
    assert_equal_steps(
        SHAPES,
        lambda params: Lion(params, lr=0.01, betas=betas, weight_decay=decay),
        lambda params: WrittenOut(params, 0.01, betas, decay),
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_checkpoint_changes_nothing() -> None:
    assert_goes_on_to_the_bit(SHAPES, lambda p: Lion(p, lr=0.01))


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"betas are 0.9 and 1.0"):
        LionConfig(betas=(0.9, 1.0))
