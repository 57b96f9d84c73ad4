"""Multi-head attention: both backends, with and without a cache, whatever the position scheme."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from byteloom.nn import (
    LayerCache,
    MultiHeadConfig,
    MultiHeadSelfAttention,
    Position,
    RotaryEmbedding,
)
from byteloom.nn.functional import Backend
from closeness import assert_gradients_close

D_MODEL, HEADS, SEQ = 16, 4, 7
BACKENDS: list[Backend] = ["reference", "fused", "auto"]


class Slopes(Position):
    """A bias that grows with the distance, another slope for each head (as in ALiBi)."""

    has_bias = True

    def bias(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        slopes = 2.0 ** -torch.arange(1, HEADS + 1)
        return -slopes[:, None, None] * (queries[..., None, :, None] - keys[..., None, None, :])


SCHEMES: dict[str, Position | None] = {
    "none": None,
    "rotary": RotaryEmbedding(D_MODEL // HEADS, 100.0, 64),
    "bias": Slopes(),
}


def make(backend: Backend) -> MultiHeadSelfAttention:
    torch.manual_seed(0)
    return MultiHeadSelfAttention(D_MODEL, HEADS, backend)


def randn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seq", [1, 2, SEQ])
def test_it_is_torchs_with_a_causal_mask(backend: Backend, seq: int) -> None:
    own = make(backend)
    peer = nn.MultiheadAttention(D_MODEL, HEADS, bias=False, batch_first=True)
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.cat([getattr(own, f"{n}_proj").weight for n in "qkv"]))
        peer.out_proj.weight.copy_(own.output_proj.weight)
    a = randn(2, seq, D_MODEL).requires_grad_()
    b = a.detach().clone().requires_grad_()
    hidden = torch.triu(torch.ones(seq, seq, dtype=torch.bool), 1)
    y, want = own(a), peer(b, b, b, attn_mask=hidden, need_weights=False)[0]
    assert_close(y, want, rtol=1e-5, atol=1e-5)
    upstream = randn(2, seq, D_MODEL, seed=2)
    y.backward(upstream)
    want.backward(upstream)
    assert_gradients_close(a.grad, b.grad)
    assert_gradients_close(own.output_proj.weight.grad, peer.out_proj.weight.grad)
    got = torch.cat([getattr(own, f"{n}_proj").weight.grad for n in "qkv"])
    assert_gradients_close(got, peer.in_proj_weight.grad)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("placed", [False, True])
def test_the_backends_agree_in_values_and_gradients(scheme: str, placed: bool) -> None:
    positions = torch.tensor([[3, 4, 5, 9, 10, 11, 40], list(range(SEQ))]) if placed else None
    results = []
    for backend in BACKENDS:
        attention, x = make(backend), randn(2, SEQ, D_MODEL).requires_grad_()
        y = attention(x, positions, SCHEMES[scheme])
        y.backward(randn(2, SEQ, D_MODEL, seed=2))
        results.append([y.detach(), x.grad, *(p.grad for p in attention.parameters())])
    for pair in pairwise(results):
        for a, b in zip(*pair, strict=True):
            assert_gradients_close(a, b)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_schemes_bias_is_added_to_the_scores(backend: Backend) -> None:
    attention, x = make(backend), randn(2, SEQ, D_MODEL)
    q, k, v = (
        (x @ getattr(attention, f"{n}_proj").weight.T).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        for n in "qkv"
    )
    scores = q @ k.mT / math.sqrt(D_MODEL // HEADS)
    for head, query, key in torch.cartesian_prod(
        torch.arange(HEADS), torch.arange(SEQ), torch.arange(SEQ)
    ).tolist():
        distance = query - key
        scores[:, head, query, key] -= distance / 2 ** (head + 1) if distance >= 0 else math.inf
    want = (torch.softmax(scores, -1) @ v).transpose(1, 2).flatten(2)
    want = want @ attention.output_proj.weight.T
    assert_close(attention(x, None, SCHEMES["bias"]), want, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(attention(x), want, atol=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("placed", [False, True])
@pytest.mark.parametrize("chunks", [[1] * SEQ, [3, 1, 3], [1, 6], [SEQ], [6, 1], [2, 2, 2, 1]])
def test_a_cache_changes_nothing(
    backend: Backend, scheme: str, placed: bool, chunks: list[int]
) -> None:
    """Whether the places are given or follow from what was read."""
    attention, x = make(backend), randn(2, SEQ, D_MODEL)
    whole = attention(x, None, SCHEMES[scheme])
    cache, done, pieces = LayerCache(SEQ), 0, []
    for size in chunks:
        positions = torch.arange(done, done + size)[None] if placed else None
        pieces.append(attention(x[:, done : done + size], positions, SCHEMES[scheme], cache))
        done += size
        assert cache.length == done
    assert_close(torch.cat(pieces, 1), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("leading", [(), (1,), (2, 3)])
def test_leading_dimensions_are_texts_of_their_own(
    backend: Backend, scheme: str, leading: tuple[int, ...]
) -> None:
    attention, x = make(backend), randn(*leading, SEQ, D_MODEL)
    texts = [attention(t[None], None, SCHEMES[scheme])[0] for t in x.view(-1, SEQ, D_MODEL)]
    want = torch.stack(texts).view(x.shape)
    assert_close(attention(x, None, SCHEMES[scheme]), want, rtol=1e-5, atol=1e-5)
    cache = LayerCache(SEQ)
    pieces = [attention(x[..., i : i + 1, :], None, SCHEMES[scheme], cache) for i in range(SEQ)]
    assert_close(torch.cat(pieces, -2), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("changed", range(1, SEQ))
def test_no_token_sees_a_later_one(backend: Backend, scheme: str, changed: int) -> None:
    attention, x = make(backend), randn(1, SEQ, D_MODEL)
    other = x.clone()
    other[:, changed:] = randn(1, SEQ - changed, D_MODEL, seed=3) * 100
    before, after = (attention(t, None, SCHEMES[scheme]) for t in (x, other))
    # Zero times a later value is exactly zero, so this is equality.
    assert torch.equal(before[:, :changed], after[:, :changed])
    assert not torch.allclose(before[:, changed], after[:, changed])
    # And every earlier one is seen.
    x.requires_grad_()
    attention(x, None, SCHEMES[scheme])[0, changed].sum().backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(-1) > 0
    assert seen.tolist() == [i <= changed for i in range(SEQ)]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_bfloat16_autocast_is_close_and_trains(scheme: str, backend: Backend) -> None:
    attention, x = make(backend), randn(2, SEQ, D_MODEL).requires_grad_()
    want = attention(x, None, SCHEMES[scheme])
    with torch.autocast("cpu", torch.bfloat16):
        y = attention(x, None, SCHEMES[scheme])
    assert y.dtype == torch.bfloat16
    assert_close(y.float(), want, rtol=0.05, atol=0.05)
    assert not torch.equal(y.float(), want)
    y.float().sum().backward()
    assert x.grad is not None and x.grad.dtype == torch.float32 and bool(x.grad.isfinite().all())
    cache, pieces = LayerCache(SEQ), []
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        for i in range(SEQ):
            at = torch.tensor([[i]])
            pieces.append(attention(x[:, i : i + 1], at, SCHEMES[scheme], cache))
    assert_close(torch.cat(pieces, 1).float(), want, rtol=0.05, atol=0.05)


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 3), st.integers(0, 2**32)
)
def test_a_layer_cache_returns_everything_so_far(sizes: list[int], batch: int, seed: int) -> None:
    total = sum(sizes)
    keys, values = randn(batch, 2, total, 4, seed=seed), randn(batch, 2, total, 3, seed=seed + 1)
    cache, done = LayerCache(total), 0
    for size in sizes:
        new = slice(done, done + size)
        k, v = cache.append(keys[:, :, new], values[:, :, new])
        done += size
        assert torch.equal(k, keys[:, :, :done]) and torch.equal(v, values[:, :, :done])
    with pytest.raises(ValueError, match=rf"holds {total} tokens; {total + 1} are too many"):
        cache.append(keys[:, :, :1], values[:, :, :1])
    assert cache.length == total


@pytest.mark.parametrize(("d_model", "num_heads"), [(10, 4), (4, 8), (7, 2)])
def test_heads_that_do_not_fit_are_refused(d_model: int, num_heads: int) -> None:
    message = f"d_model {d_model} is not divisible by num_heads {num_heads}"
    with pytest.raises(ValueError, match=message):
        MultiHeadSelfAttention(d_model, num_heads)


@pytest.mark.parametrize("num_heads", [0, -2])
def test_fewer_heads_than_one_are_refused(num_heads: int) -> None:
    with pytest.raises(ValueError, match=f"num_heads is {num_heads}; it must be above 0"):
        MultiHeadSelfAttention(8, num_heads)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_configuration_passes_its_backend_on(backend: Backend) -> None:
    attention = MultiHeadConfig(backend=backend).build(D_MODEL, HEADS)
    assert attention.backend == backend
    assert attention.d_head == D_MODEL // HEADS
    assert [n for n, _ in attention.named_parameters()] == [
        f"{n}_proj.weight" for n in ("q", "k", "v", "output")
    ]
