"""Gradient clipping against torch's."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from byteloom.optim import clip_grad_norm

SHAPES = ((3, 4), (5,), (), (2, 1, 2))


def make(scale: float, seed: int = 0, without: int | None = None) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    params = [nn.Parameter(torch.zeros(shape)) for shape in SHAPES]
    for i, p in enumerate(params):
        gradient = torch.randn(p.shape, generator=generator) * scale
        p.grad = None if i == without else gradient
    return params


def gradients(params: list[nn.Parameter]) -> list[torch.Tensor | None]:
    return [p.grad for p in params]


@given(
    scale=st.floats(1e-8, 1e8),
    max_norm=st.floats(1e-4, 1e4),
    seed=st.integers(0, 2**32 - 1),
    without=st.sampled_from([None, 0, 2]),
)
def test_it_is_torchs(scale: float, max_norm: float, seed: int, without: int | None) -> None:
    ours, theirs = (make(scale, seed, without) for _ in range(2))
    norm = clip_grad_norm(ours, max_norm)
    want = nn.utils.clip_grad_norm_(theirs, max_norm)
    assert_close(norm, want)
    for got, expected in zip(gradients(ours), gradients(theirs), strict=True):
        assert_close(got, expected)


@pytest.mark.parametrize("max_norm", [0.01, 1.0, 5.0])
def test_the_norm_after_is_the_bound_and_the_direction_stays(max_norm: float) -> None:
    params, before = make(100.0), gradients(make(100.0))
    clip_grad_norm(params, max_norm)
    after = torch.cat([p.grad.flatten() for p in params if p.grad is not None])
    flat = torch.cat([g.flatten() for g in before if g is not None])
    assert_close(after.norm(), torch.tensor(max_norm))
    assert float(after.norm()) <= max_norm
    assert_close(after / after.norm(), flat / flat.norm())


def test_small_gradients_stay_to_the_bit() -> None:
    params = make(1e-3)
    clip_grad_norm(params, 1.0)
    for got, want in zip(gradients(params), gradients(make(1e-3)), strict=True):
        assert got is not None and want is not None and torch.equal(got, want)


def test_eps_is_added_to_the_norm() -> None:
    p = nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([3.0, 4.0])
    clip_grad_norm([p], 1.0, eps=5.0)
    assert_close(p.grad, torch.tensor([0.3, 0.4]))
    p.grad = torch.tensor([3e-6, 4e-6])
    clip_grad_norm([p], 1e-6)
    assert_close(p.grad.norm(), torch.tensor(5e-6 / 6), rtol=1e-4, atol=0)


def test_clipping_is_in_place() -> None:
    params = make(100.0)
    same = gradients(params)
    clip_grad_norm(iter(params), 1.0)
    assert all(p.grad is g for p, g in zip(params, same, strict=True))


def test_inf_only_measures() -> None:
    params, before = make(1e6), gradients(make(1e6))
    flat = torch.cat([g.flatten() for g in before if g is not None])
    assert_close(clip_grad_norm(params, math.inf), flat.norm())
    for got, want in zip(gradients(params), before, strict=True):
        assert got is not None and want is not None and torch.equal(got, want)


def test_no_gradients_are_a_norm_of_zero() -> None:
    params = [nn.Parameter(torch.zeros(3))]
    assert clip_grad_norm(params, 1.0) == 0
    assert params[0].grad is None
    assert clip_grad_norm([], 1.0) == 0
    params[0].grad = torch.zeros(3)
    assert clip_grad_norm(params, 1.0) == 0
    assert params[0].grad.tolist() == [0.0] * 3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_shows_in_the_norm(bad: float) -> None:
    params = make(1.0)
    assert params[0].grad is not None
    params[0].grad[0, 0] = bad
    assert not bool(clip_grad_norm(params, 1.0).isfinite())


@pytest.mark.parametrize("max_norm", [0.0, -1.0, math.nan])
def test_an_impossible_bound_is_refused(max_norm: float) -> None:
    with pytest.raises(ValueError, match=f"max_norm is {max_norm}; it must be above 0"):
        clip_grad_norm(make(1.0), max_norm)
