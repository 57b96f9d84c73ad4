"""Muon against torch's own and against singular values; its other half against AdamW."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from steps import check_resumption, compare, make_params
from torch import nn
from torch.testing import assert_close

from byteloom.model import ModelConfig
from byteloom.optim import AdamW, LearningRateScale, Muon, MuonConfig, newton_schulz
from byteloom.optim.muon import lr_ratio

#: Wide, tall, square, and two of one shape, which take their steps together.
MATRICES = ((6, 10), (10, 6), (8, 8), (6, 10), (1, 5), (5, 1))


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("adjust_lr", "nesterov"),
    [
        ("original", True),
        ("original", False),
        ("match_rms_adamw", True),
        ("match_rms_adamw", False),
    ],
)
def test_thirty_steps_are_torchs(adjust_lr: Any, nesterov: bool, late: bool) -> None:
    common: dict[str, Any] = {"lr": 0.02, "weight_decay": 0.3, "nesterov": nesterov}
    own = Muon(make_params(MATRICES), adjust_lr=adjust_lr, **common)
    peer = torch.optim.Muon(make_params(MATRICES), adjust_lr_fn=adjust_lr, **common)
    # A step is computed in bfloat16: here to the same bits, elsewhere perhaps not.
    compare(own, peer, range(30), late=late, rtol=1e-3, atol=1e-3)


def test_the_defaults_are_torchs() -> None:
    own = Muon(make_params(MATRICES)).defaults
    if hasattr(torch.optim, "Muon"):
        peer = torch.optim.Muon(make_params(MATRICES)).defaults
        for name in ("lr", "momentum", "nesterov", "ns_steps", "weight_decay"):
            assert own[name] == peer[name]


def slow_newton_schulz(matrix: torch.Tensor, steps: int) -> torch.Tensor:
    """The polynomial applied to the singular values themselves."""
    u, s, vt = torch.linalg.svd(matrix.double(), full_matrices=False)
    s = s / s.square().sum().sqrt()
    for _ in range(steps):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return u @ torch.diag(s) @ vt


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("shape", [(7, 7), (5, 12), (12, 5), (1, 4), (4, 1), (1, 1)])
def test_newton_schulz_changes_the_singular_values_only(shape: tuple[int, int], steps: int) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3)).double() * 1e4
    assert_close(newton_schulz(matrix, steps), slow_newton_schulz(matrix, steps))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(32, 32), (16, 64), (64, 16), (3, 16, 24)])
def test_the_result_is_nearly_orthogonal(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(shape, generator=generator)
    # Of known condition: the smallest singular value is a hundredth of the largest.
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    s = torch.logspace(-2, 0, u.shape[-1])
    values = torch.linalg.svdvals(newton_schulz(((u * s) @ vt).to(dtype)).float())
    assert values.min() > 0.6 and values.max() < 1.3


def test_zeros_stay_zeros() -> None:
    assert not newton_schulz(torch.zeros(3, 4)).any()


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 5, 4)])
def test_stacked_matrices_are_each_their_own(shape: tuple[int, ...]) -> None:
    stack = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    alone = [newton_schulz(m) for m in stack.flatten(0, -3)]
    assert_close(newton_schulz(stack).flatten(0, -3), torch.stack(alone))
    stacked, single = nn.Parameter(stack), [nn.Parameter(m) for m in stack.flatten(0, -3).clone()]
    stacked.grad = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    for p, gradient in zip(single, stacked.grad.flatten(0, -3), strict=True):
        p.grad = gradient.clone()
    Muon([stacked], lr=0.1).step()
    Muon(single, lr=0.1).step()
    assert_close(stacked.detach().flatten(0, -3), torch.stack(single).detach())


def test_the_ratios() -> None:
    assert lr_ratio("original", 3, 12) == 1.0
    assert lr_ratio("original", 12, 3) == 2.0
    assert lr_ratio("match_rms_adamw", 100, 25) == lr_ratio("match_rms_adamw", 25, 100) == 2.0


def test_a_matched_step_is_as_long_as_adamws() -> None:
    for shape in ((32, 32), (16, 64), (64, 16)):
        p = nn.Parameter(torch.zeros(shape))
        p.grad = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        Muon([p], lr=1.0, adjust_lr="match_rms_adamw").step()
        # AdamW's steps are typically of 0.2 to 0.4 of the rate.
        assert 0.15 < p.detach().square().mean().sqrt() < 0.25


def test_the_other_groups_are_adamws() -> None:
    settings: dict[str, Any] = {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-6, "weight_decay": 0.3}
    own = Muon([{"params": make_params(), "use_muon": False}], **settings)
    compare(own, AdamW(make_params(), **settings), late=True, rtol=0, atol=0)


def test_both_kinds_of_group_have_their_rates() -> None:
    matrix, vector = params = make_params(((4, 4), (4,)))
    groups: list[dict[str, Any]] = [{"params": [matrix]}, {"params": [vector], "use_muon": False}]
    optimizer = Muon(groups, weight_decay=0.0)
    for still, rates in enumerate([(0.0, 0.1), (0.1, 0.0)]):
        before = [p.detach().clone() for p in params]
        for p, group, rate in zip(params, optimizer.param_groups, rates, strict=True):
            p.grad, group["lr"] = torch.ones_like(p), rate
        optimizer.step()
        same = [torch.equal(p, old) for p, old in zip(params, before, strict=True)]
        assert same == [still == 0, still == 1]


def test_a_state_dict_goes_on_to_the_same_bits() -> None:
    def build(params: list[nn.Parameter]) -> Muon:
        groups: list[dict[str, Any]] = [
            {"params": params[:2]},
            {"params": params[2:], "use_muon": False, "weight_decay": 0.0},
        ]
        return Muon(groups, lr=0.02)

    check_resumption(build, ((4, 6), (6, 4), (5,), ()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -1.0}, r"lr is -1\.0; it must not be negative"),
        ({"momentum": 1.0}, r"momentum is 1\.0"),
        ({"ns_steps": 0}, "ns_steps is 0; it must be 1 or more"),
        ({"betas": (0.9, 1.0)}, r"betas are 0\.9 and 1\.0"),
        ({"eps": math.nan}, "eps is nan"),
        ({"weight_decay": -0.1}, r"weight_decay is -0\.1"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Muon(make_params(MATRICES), **settings)
    if "lr" not in settings:
        with pytest.raises(ValueError, match=message):
            MuonConfig(**settings)


def test_a_vector_among_matrices_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not for a parameter of shape \(5,\).*use_muon = False"):
        Muon(make_params())


def test_the_configuration_builds_what_it_says() -> None:
    model = ModelConfig(
        vocab_size=11, context_length=8, d_model=8, num_layers=1, num_heads=2
    ).build()
    scale = LearningRateScale(head=0.5)
    config = MuonConfig(momentum=0.8, ns_steps=3, betas=(0.7, 0.8), lr_scale=scale)
    optimizer = config.build(model)
    assert isinstance(optimizer, Muon)
    found = {g["name"]: (g["use_muon"], g["weight_decay"], g["lr_scale"]) for g in
             optimizer.param_groups}  # fmt: skip
    assert found == {
        "hidden": (True, 0.1, 1.0),
        "head": (False, 0.1, 0.5),
        "embeddings": (False, 0.0, 1.0),
        "vectors": (False, 0.0, 1.0),
    }
    hidden = optimizer.param_groups[0]
    assert (hidden["momentum"], hidden["ns_steps"], hidden["adjust_lr"]) == (
        0.8,
        3,
        "match_rms_adamw",
    )
    assert optimizer.param_groups[1]["betas"] == (0.7, 0.8)
