"""softmax, silu, cross-entropy and attention against torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.testing import assert_close

from byteloom.nn import functional
from byteloom.nn.functional import Backend

BACKENDS: list[Backend] = ["auto", "reference", "fused"]


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2])
@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
def test_softmax_is_torchs(dim: int, offset: float) -> None:
    x = randn(3, 4, 5) + offset
    assert_close(functional.softmax(x, dim), F.softmax(x, dim))


@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=8),
)
def test_softmax_of_anything_is_a_distribution(values: list[float]) -> None:
    p = functional.softmax(torch.tensor(values), dim=0)
    assert bool((p >= 0).all())
    assert_close(p.sum(), torch.tensor(1.0))
    assert_close(p, F.softmax(torch.tensor(values), dim=0))


def test_softmax_of_masked_scores_gives_them_nothing() -> None:
    p = functional.softmax(torch.tensor([0.0, -math.inf, 0.0]), dim=0)
    assert p.tolist() == [0.5, 0.0, 0.5]


def test_compiled_in_bf16_softmax_of_computed_scores_has_gradients() -> None:
    """The compiler computes scores once more for them, in float32 this time."""
    w = randn(8, 8)
    x = randn(16, 8).requires_grad_()

    def weights(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return functional.softmax(20 * torch.tanh((x @ w) @ (x @ w).T / 20), -1)

    expected = torch.autograd.grad(weights(x).square().sum(), x)[0]
    found = torch.autograd.grad(torch.compile(weights)(x).square().sum(), x)[0]
    assert_close(found, expected, rtol=0.1, atol=0.1 * float(expected.abs().max()))


def test_silu_is_torchs_also_far_out() -> None:
    x = torch.cat([randn(100), torch.tensor([0.0, 1e4, -1e4, 80.0, -80.0])])
    assert_close(functional.silu(x), F.silu(x))


def test_gradients_of_softmax_and_silu() -> None:
    upstream = randn(3, 4, seed=1)
    for own, peer in (
        (lambda x: functional.softmax(x, -1), lambda x: F.softmax(x, -1)),
        (functional.silu, F.silu),
    ):
        a, b = (randn(3, 4).requires_grad_() for _ in range(2))
        own(a).backward(upstream)
        peer(b).backward(upstream)
        assert_close(a.grad, b.grad)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("scale", "offset"), [(1, 0.0), (1e4, 0.0), (1, 1e4), (1, -1e4), (1e30, 0)]
)
def test_cross_entropy_and_its_gradient_are_torchs(
    backend: Backend, scale: float, offset: float
) -> None:
    # In doubles the oracle is exact to more digits than float32 has.
    a = (randn(6, 9) * scale + offset).requires_grad_()
    b = a.detach().double().requires_grad_()
    targets = torch.arange(6) % 9
    own, peer = functional.cross_entropy(a, targets, backend), F.cross_entropy(b, targets)
    own.backward()
    peer.backward()
    # Around 1e4, neighbouring floats lie a thousandth apart: so much the logarithm can be off.
    assert_close(own.double(), peer, rtol=1e-5, atol=2e-3 if offset else 1e-6)
    assert a.grad is not None and b.grad is not None
    assert bool(a.grad.isfinite().all())
    assert_close(a.grad.double(), b.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_cross_entropy_of_any_leading_shape(backend: Backend) -> None:
    logits, targets = randn(2, 3, 5, 7), torch.arange(30).reshape(2, 3, 5) % 7
    want = F.cross_entropy(logits.reshape(-1, 7), targets.reshape(-1))
    assert_close(functional.cross_entropy(logits, targets, backend), want)
    flat = functional.cross_entropy(logits[0, 0, 0], targets[0, 0, 0], backend)
    assert_close(flat, F.cross_entropy(logits[0, 0, 0], targets[0, 0, 0]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_cross_entropy_of_the_certain_and_of_the_ignorant(backend: Backend) -> None:
    certain = torch.full((2, 4), -1e4).scatter(1, torch.tensor([[1], [3]]), 1e4)
    assert functional.cross_entropy(certain, torch.tensor([1, 3]), backend) == 0
    assert functional.cross_entropy(certain, torch.tensor([0, 0]), backend) == 2e4
    uniform = functional.cross_entropy(torch.zeros(5, 1000), torch.arange(5), backend)
    assert_close(uniform, torch.tensor(math.log(1000)))


def masks() -> dict[str, torch.Tensor | None]:
    some = randn(5, 6, seed=9) > 0
    some[:, 0] = True
    by_head = randn(2, 3, 5, 6, seed=8) > -0.5
    by_head[..., 3] = True
    return {"none": None, "random": some, "by head": by_head, "one key": torch.eye(5, 6).bool()}


@pytest.mark.parametrize("name", masks())
@pytest.mark.parametrize("biased", [False, True])
def test_attention_and_its_gradients_are_torchs(name: str, biased: bool) -> None:
    mask = masks()[name]
    bias = randn(2, 3, 5, 6, seed=4) if biased else None
    added = bias
    if mask is not None:
        zeros = torch.zeros(2, 3, 5, 6) if bias is None else bias
        added = zeros.masked_fill(~mask, -math.inf)
    upstream = randn(2, 3, 5, 7, seed=5)
    gradients = []
    outputs = []
    for own in (True, False):
        qkv = [randn(2, 3, n, d, seed=n).requires_grad_() for n, d in ((5, 8), (6, 8), (6, 7))]
        y = (
            functional.scaled_dot_product_attention(*qkv, mask=mask, bias=bias)
            if own
            else F.scaled_dot_product_attention(*qkv, attn_mask=added)
        )
        y.backward(upstream)
        outputs.append(y.detach())
        gradients.append([t.grad for t in qkv])
    assert_close(*outputs)
    assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_a_query_that_may_attend_to_nothing_gets_zeros_and_gives_no_gradient() -> None:
    q, k, v = (randn(1, 4, 8, seed=i).requires_grad_() for i in range(3))
    mask = torch.ones(1, 4, 4, dtype=torch.bool).tril()
    mask[0, 2] = False
    y = functional.scaled_dot_product_attention(q, k, v, mask)
    assert bool((y[0, 2] == 0).all())
    rows = [0, 1, 3]
    want = F.scaled_dot_product_attention(q[:, rows], k, v, mask[:, rows])
    assert_close(y[:, rows], want)
    y.sum().backward()
    for t in (q, k, v):
        assert t.grad is not None and bool(t.grad.isfinite().all())
    assert q.grad is not None and bool((q.grad[0, 2] == 0).all())


def test_attention_of_huge_scores_is_finite() -> None:
    q, k, v = (randn(1, 4, 8, seed=i) for i in range(3))
    y = functional.scaled_dot_product_attention(q * 1e4, k * 1e4, v)
    assert_close(y, F.scaled_dot_product_attention(q * 1e4, k * 1e4, v))


def test_attention_without_leading_dimensions() -> None:
    q, k, v = randn(5, 8), randn(6, 8, seed=1), randn(6, 3, seed=2)
    assert_close(
        functional.scaled_dot_product_attention(q, k, v), F.scaled_dot_product_attention(q, k, v)
    )
