"""Capped attention in one kernel against the formula; what needs a GPU runs where there is one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from byteloom.generation import Decoder
from byteloom.model import ModelConfig
from byteloom.nn import LinearConfig, MultiHeadConfig, SparseConfig
from byteloom.nn.attention import document_mask, padding_mask, prefix_mask
from byteloom.nn.attention.flex import capped_attention, take_numbers_for_constants
from byteloom.nn.attention.mask import causal_mask
from byteloom.nn.functional import scaled_dot_product_attention

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
LENGTHS = torch.tensor([9, 4])


def masks(seq: int, device: str) -> dict[str, Tensor | None]:
    places = torch.arange(seq)
    found = {
        "none": None,
        "one for all": (places[:, None] - places).abs() < 3,
        "by text": prefix_mask(LENGTHS, seq),
        "documents": document_mask(places.expand(2, seq) // 4),
        "padding": padding_mask(places < LENGTHS[:, None]),
        "by head": torch.stack([places[:, None] % n >= places % n for n in (2, 3, 4, 5)])[None],
        "nothing": torch.zeros(2, 1, 1, seq, dtype=torch.bool),
    }
    return {key: None if mask is None else mask.to(device) for key, mask in found.items()}


def compare(name: str, causal: bool, queries: int, device: str, d_head: int, tol: float) -> None:
    torch.manual_seed(0)
    seq, soft_cap, scale = 11, 0.7, 0.4
    q = torch.randn(2, 4, queries, d_head, device=device)
    k, v = torch.randn(2, 2, 2, seq, d_head, device=device)
    mask = masks(seq, device)[name]
    if mask is not None and mask.shape[-2] > 1:
        mask = mask[..., -queries:, :]
    want_mask = mask
    if causal:
        behind = causal_mask(q, k)
        want_mask = behind if mask is None else mask & behind
    leaves = [x.requires_grad_(device == "cuda") for x in (q, k, v)]
    found = capped_attention(q, k, v, mask, scale, soft_cap, causal)
    wide = (x.repeat_interleave(2, dim=1) for x in (k, v))
    want = scaled_dot_product_attention(q, *wide, want_mask, None, scale, soft_cap)
    assert_close(found, want, rtol=tol, atol=tol)
    if device == "cuda":
        upstream = torch.randn_like(want)
        pairs = [torch.autograd.grad((y * upstream).sum(), leaves) for y in (found, want)]
        for mine, theirs in zip(*pairs, strict=True):
            assert_close(mine, theirs, rtol=tol, atol=tol)


@pytest.mark.parametrize("name", masks(11, "cpu"))
@pytest.mark.parametrize(("causal", "queries"), [(False, 11), (True, 5)])
def test_it_is_the_formula(name: str, causal: bool, queries: int) -> None:
    compare(name, causal, queries, "cpu", 4, 1e-5)


def test_compiled_it_may_meet_another_cap() -> None:
    take_numbers_for_constants()
    torch.manual_seed(0)
    q = torch.randn(1, 2, 9, 8)
    compiled = torch.compile(
        lambda q, cap: capped_attention(q, q, q, soft_cap=cap, causal=True),
        backend="eager",
        fullgraph=True,
    )
    for cap in (0.7, 20.0, 5.0):
        expected = scaled_dot_product_attention(q, q, q, causal_mask(q, q), soft_cap=cap)
        assert_close(compiled(q, cap), expected)


@on_gpu
@pytest.mark.parametrize("name", masks(11, "cpu"))
@pytest.mark.parametrize("causal", [False, True])
def test_on_a_gpu_its_gradients_are_too(name: str, causal: bool) -> None:
    compare(name, causal, 11, "cuda", 16, 2e-3)


FLEX = MultiHeadConfig(backend="flex", soft_cap=0.5, window=4, num_kv_heads=2)


def test_where_it_cannot_be_the_formula_is() -> None:
    model = ModelConfig(20, d_model=16, num_heads=4, num_layers=2, attention=FLEX).build(0)
    plain = ModelConfig(
        20, d_model=16, num_heads=4, num_layers=2,
        attention=MultiHeadConfig(soft_cap=0.5, window=4, num_kv_heads=2),
    ).build(0)  # fmt: skip
    ids = torch.randint(20, (2, 9))
    assert torch.equal(model(ids), plain(ids))
    uncapped = MultiHeadConfig(backend="flex").build(16, 4)
    assert uncapped.backend == "auto"


@on_gpu
@pytest.mark.parametrize("compiled", [False, True])
def test_on_a_gpu_models_with_it_learn_the_same(compiled: bool) -> None:
    """With everything that can be in the way of one: windows, full layers, autocast."""
    shape: dict[str, Any] = {"d_model": 64, "num_heads": 4, "num_layers": 2, "full_every": 2}
    gradients = []
    for attention in (FLEX, MultiHeadConfig(soft_cap=0.5, window=4, num_kv_heads=2)):
        model = ModelConfig(20, attention=attention, **shape).build(0).cuda()
        ids = torch.arange(64, device="cuda").view(2, 32) % 20
        hidden = torch.compile(model.hidden, fullgraph=True) if compiled else model.hidden
        hidden(ids).sin().sum().backward()
        gradients.append([p.grad for p in model.layers.parameters()])
    for mine, theirs in zip(*gradients, strict=True):
        assert_close(mine, theirs, rtol=1e-2, atol=1e-2 * float(theirs.abs().max()))


DECODED: dict[str, dict[str, Any]] = {
    "window": {"attention": MultiHeadConfig(window=5)},
    "window and full": {"attention": MultiHeadConfig(window=5), "full_every": 2},
    "linear": {"attention": LinearConfig(decay="gated"), "full_every": 2},
    "sparse": {"attention": SparseConfig(stride=4, split=True)},
    "capped": {"attention": FLEX},
}


@on_gpu
@pytest.mark.parametrize("name", DECODED)
@torch.no_grad()
def test_on_a_gpu_a_compiled_step_is_one_graph_and_the_same(name: str) -> None:
    config = ModelConfig(
        20, context_length=40, d_model=64, num_heads=4, num_layers=2, **DECODED[name]
    )
    model, ids = config.build(0).cuda().eval(), torch.randint(20, (3, 40), device="cuda")
    decoder, want = Decoder(model, compiled=True), model(ids)
    for first in (1, 9):
        found = [decoder.read(ids[:, :first]).clone()]
        found += [decoder.step(ids[:, i]).clone() for i in range(first, 40)]
        assert_close(torch.stack(found, 1), want[:, first - 1 :], rtol=1e-3, atol=1e-3)


@on_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_gpu_who_sees_nothing_gets_zeros_and_finite_gradients(dtype: torch.dtype) -> None:
    """Whatever kernel torch chooses: padding and windows can hide all from a token."""
    module = MultiHeadConfig().build(256, 4).to("cuda", dtype)
    for bias in (None, torch.randn(24, 24, device="cuda", dtype=dtype)):
        q, k, v = torch.randn(3, 2, 4, 24, 64, device="cuda", dtype=dtype).unbind()
        leaves = [x.requires_grad_() for x in (q, k, v)]
        mask: Tensor = (torch.arange(24, device="cuda") < 5).expand(2, 1, 24, 24).clone()
        mask[1] = False
        y = module.attend(q, k, v, bias, mask)
        gradients = torch.autograd.grad(y.float().square().sum(), leaves)
        assert not y[1].any()
        assert all(bool(x.isfinite().all()) for x in (y, *gradients))
