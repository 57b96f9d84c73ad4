"""Muon against torch's own, and its iteration against the singular values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from byteloom.model import ModelConfig
from byteloom.optim import AdamW, Muon, MuonConfig, newton_schulz
from optim.peers import assert_equal_steps, assert_goes_on_to_the_bit

MATRICES = ((6, 4), (4, 6), (6, 4), (5, 5))


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 24), st.integers(2, 24)),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
    seed=st.integers(0, 99),
)
def test_singular_values_come_to_lie_around_one(
    shape: tuple[int, int], scale: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    rank = min(shape)
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    values = 0.1 + 0.9 * torch.rand(rank, generator=generator)
    found = newton_schulz(scale * (u * values) @ v, steps=5)
    assert found.shape == shape
    # U^T X V is diagonal: the directions are kept, and only the values change.
    core = u.T @ found @ v.T
    assert torch.allclose(core, core.diag().diag(), atol=1e-4)
    assert core.diag().min() > 0.6 and core.diag().max() < 1.3


def test_stacked_matrices_are_each_on_its_own() -> None:
    stack = torch.randn(2, 3, 7, 4)
    each = torch.stack([torch.stack([newton_schulz(m) for m in row]) for row in stack])
    assert torch.allclose(newton_schulz(stack), each, atol=1e-5)
    assert torch.equal(newton_schulz(torch.zeros(3, 2)), torch.zeros(3, 2))


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
@pytest.mark.parametrize("nesterov", [True, False])
def test_it_is_torchs(adjust: str, nesterov: bool) -> None:
    options: dict[str, Any] = {"lr": 0.02, "momentum": 0.9, "nesterov": nesterov}
    assert_equal_steps(
        MATRICES,
        lambda p: Muon(p, adjust_lr=adjust, weight_decay=0.1, **options),  # type: ignore[arg-type]
        lambda p: torch.optim.Muon(p, adjust_lr_fn=adjust, weight_decay=0.1, **options),
        steps=10,
        # Both iterate in bf16, in another order.
        rtol=0.05,
        atol=0.01,
    )


def test_what_is_no_hidden_matrix_has_adamw() -> None:
    config = ModelConfig(vocab_size=11, context_length=8, d_model=8, num_layers=1, num_heads=2)
    model, other = config.build(0), config.build(0)
    muon = MuonConfig(weight_decay=0.1, betas=(0.8, 0.9)).build(model)
    by_use = {group["name"]: group["use_muon"] for group in muon.param_groups}
    assert by_use == {"hidden": True, "head": False, "embeddings": False, "vectors": False}
    rest = [group for group in muon.param_groups if not group["use_muon"]]
    members = {id(p) for group in rest for p in group["params"]}
    wanted = {name for name, p in model.named_parameters() if id(p) in members}
    named = dict(other.named_parameters())
    groups = [
        {"params": [named[n] for n in sorted(wanted) if decays == (n == "lm_head.weight")],
         "weight_decay": 0.1 if decays else 0.0}
        for decays in (True, False)
    ]  # fmt: skip
    adamw = AdamW(groups, betas=(0.8, 0.9))
    for _ in range(3):
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        muon.step()
        adamw.step()
    for name, p in model.named_parameters():
        assert torch.equal(p, named[name]) == (name in wanted), name


def test_it_learns_what_momentum_alone_learns_slowly() -> None:
    """A badly scaled quadratic: all directions fall alike."""
    scales = torch.logspace(-2, 0, 8)
    weight = nn.Parameter(torch.linalg.qr(torch.randn(8, 8))[0])
    optimizer = Muon([weight], lr=0.05, weight_decay=0.0)
    for _ in range(60):
        optimizer.zero_grad()
        (scales[:, None] * weight.square()).sum().backward()
        optimizer.step()
    assert weight.abs().max() < 0.5


def test_a_checkpoint_changes_nothing() -> None:
    assert_goes_on_to_the_bit(MATRICES, lambda p: Muon(p, lr=0.01))
    mixed = lambda p: Muon([{"params": p[:2]}, {"params": p[2:], "use_muon": False}], lr=0.01)  # noqa: E731
    assert_goes_on_to_the_bit(((4, 3), (3, 3), (5,), ()), mixed)


def test_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not for a parameter of shape \(3,\)"):
        Muon([nn.Parameter(torch.zeros(3))])
    with pytest.raises(ValueError, match="ns_steps is 0"):
        MuonConfig(ns_steps=0)
