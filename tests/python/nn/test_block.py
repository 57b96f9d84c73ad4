"""The blocks against torch's own layer, and against their formulas."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from byteloom.model import ModelConfig
from byteloom.nn import (
    Block,
    BlockConfig,
    GELUConfig,
    LayerNormConfig,
    MultiHeadConfig,
    NoNormConfig,
    ParallelConfig,
    Parts,
    PostNormConfig,
    PreNormConfig,
    ReorderedNormConfig,
    RMSNormConfig,
    SandwichConfig,
    SwiGLUConfig,
    TransformerBlock,
)
from byteloom.nn.attention import CrossConfig, padding_mask
from cached import cached_logits
from closeness import assert_gradients_close

D_MODEL, HEADS, D_FF = 12, 3, 20
MEMBERS: dict[str, type[Any]] = {
    "pre": PreNormConfig,
    "post": PostNormConfig,
    "sandwich": SandwichConfig,
    "reordered": ReorderedNormConfig,
    "parallel": ParallelConfig,
}


def make(kind: str, scale: float = 1.0, **over: Any) -> Block:
    torch.manual_seed(0)
    parts = {
        "attention": MultiHeadConfig(),
        "ffn": SwiGLUConfig(d_ff=D_FF),
        "norm": RMSNormConfig(),
    } | over
    block = MEMBERS[kind](residual_scale=scale).build(Parts(D_MODEL, HEADS, **parts))
    for p in block.parameters():
        nn.init.normal_(p, std=0.5)
    return block


@pytest.mark.parametrize("kind", ["pre", "post"])
def test_it_and_its_gradients_are_torchs(kind: str) -> None:
    own = make(kind, ffn=GELUConfig(d_ff=D_FF), norm=LayerNormConfig())
    peer = nn.TransformerEncoderLayer(
        D_MODEL, HEADS, D_FF, dropout=0.0, activation="gelu", batch_first=True,
        norm_first=kind == "pre", bias=False,
    )  # fmt: skip
    state = own.state_dict()
    projections = [state.pop(f"attn.{name}_proj.weight") for name in "qkv"]
    names = {"attn.output_proj": "self_attn.out_proj", "ffn.w1": "linear1", "ffn.w2": "linear2"}
    names |= {"ln1": "norm1", "ln2": "norm2"}
    peer.load_state_dict(
        {f"{names[key.removesuffix('.weight')]}.weight": value for key, value in state.items()}
        | {"self_attn.in_proj_weight": torch.cat(projections)}
    )
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    a = torch.randn(2, 5, D_MODEL, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    want = peer(b, src_mask=mask, is_causal=True)
    assert_close(own(a), want, rtol=1e-5, atol=1e-5)
    own(a).square().sum().backward()
    want.square().sum().backward()
    assert_gradients_close(a.grad, b.grad)
    assert_gradients_close(own.ffn.w1.weight.grad, peer.linear1.weight.grad)
    assert_gradients_close(own.ln2.weight.grad, peer.norm2.weight.grad)


FORMULAS: dict[str, Callable[[Any, torch.Tensor, float], torch.Tensor]] = {}


def formula(function: Any) -> Any:
    FORMULAS[function.__name__] = function
    return function


@formula
def pre(b: Any, x: torch.Tensor, s: float) -> torch.Tensor:
    h = x + s * b.attn(b.ln1(x))
    return h + s * b.ffn(b.ln2(h))


@formula
def post(b: Any, x: torch.Tensor, s: float) -> torch.Tensor:
    h = b.ln1(x + s * b.attn(x))
    return b.ln2(h + s * b.ffn(h))


@formula
def sandwich(b: Any, x: torch.Tensor, s: float) -> torch.Tensor:
    h = x + b.ln1_out(s * b.attn(b.ln1(x)))
    return h + b.ln2_out(s * b.ffn(b.ln2(h)))


@formula
def reordered(b: Any, x: torch.Tensor, s: float) -> torch.Tensor:
    h = x + b.ln1(s * b.attn(x))
    return h + b.ln2(s * b.ffn(h))


@formula
def parallel(b: Any, x: torch.Tensor, s: float) -> torch.Tensor:
    normed = b.ln1(x)
    return x + s * b.attn(normed) + s * b.ffn(normed)


#: With a third part between the two.
CROSSED: dict[str, Callable[[Any, torch.Tensor, torch.Tensor, float], torch.Tensor]] = {}


def crossed(function: Any) -> Any:
    CROSSED[function.__name__.removesuffix("_crossed")] = function
    return function


@crossed
def pre_crossed(b: Any, x: torch.Tensor, m: torch.Tensor, s: float) -> torch.Tensor:
    h = x + s * b.attn(b.ln1(x))
    h = h + s * b.cross(b.ln_cross(h), m)
    return h + s * b.ffn(b.ln2(h))


@crossed
def post_crossed(b: Any, x: torch.Tensor, m: torch.Tensor, s: float) -> torch.Tensor:
    h = b.ln1(x + s * b.attn(x))
    h = b.ln_cross(h + s * b.cross(h, m))
    return b.ln2(h + s * b.ffn(h))


@crossed
def sandwich_crossed(b: Any, x: torch.Tensor, m: torch.Tensor, s: float) -> torch.Tensor:
    h = x + b.ln1_out(s * b.attn(b.ln1(x)))
    h = h + b.ln_cross_out(s * b.cross(b.ln_cross(h), m))
    return h + b.ln2_out(s * b.ffn(b.ln2(h)))


@crossed
def reordered_crossed(b: Any, x: torch.Tensor, m: torch.Tensor, s: float) -> torch.Tensor:
    h = x + b.ln1(s * b.attn(x))
    h = h + b.ln_cross(s * b.cross(h, m))
    return h + b.ln2(s * b.ffn(h))


@crossed
def parallel_crossed(b: Any, x: torch.Tensor, m: torch.Tensor, s: float) -> torch.Tensor:
    normed = b.ln1(x)
    return x + s * b.attn(normed) + s * b.cross(normed, m) + s * b.ffn(normed)


def test_all_members_are_tested() -> None:
    assert set(MEMBERS.values()) == set(typing.get_args(BlockConfig))
    assert set(MEMBERS) == set(FORMULAS) == set(CROSSED)


@pytest.mark.parametrize("kind", MEMBERS)
@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("norm", [RMSNormConfig(unit_offset=True), NoNormConfig()])
def test_it_and_its_gradients_are_the_formula(kind: str, scale: float, norm: Any) -> None:
    block = make(kind, scale, norm=norm)
    a = torch.randn(2, 5, D_MODEL, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    assert_close(block(a), FORMULAS[kind](block, b, scale))
    block(a).sum().backward()
    found = {name: p.grad.clone() for name, p in block.named_parameters()}
    block.zero_grad()
    FORMULAS[kind](block, b, scale).sum().backward()
    assert_gradients_close(a.grad, b.grad)
    for name, p in block.named_parameters():
        assert_gradients_close(found[name], p.grad)


@pytest.mark.parametrize("kind", MEMBERS)
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_with_a_third_part_it_and_its_gradients_are_the_formula(kind: str, scale: float) -> None:
    block = make(kind, scale, norm=LayerNormConfig(bias=True), cross=CrossConfig(bias=True))
    gradients, x, m = [], torch.randn(2, 5, D_MODEL), torch.randn(2, 7, D_MODEL)
    leaves = [x.requires_grad_(), m.requires_grad_(), *block.parameters()]
    real = torch.arange(7) < torch.tensor([[7], [4]])
    found, want = block(x, memory=m), CROSSED[kind](block, x, m, scale)
    assert_close(found, want, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad(y.sin().sum(), leaves) for y in (found, want)]
    for mine, theirs in zip(*gradients, strict=True):
        assert_gradients_close(mine, theirs)
    # What is hidden of a text is as if it were not there.
    hidden = block(x, memory=m, memory_mask=padding_mask(real))
    assert_close(hidden[1:], block(x[1:], memory=m[1:, :4]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", MEMBERS)
def test_dropout_is_on_both_parts(kind: str) -> None:
    block = make(kind, dropout=0.9999999)
    x = torch.randn(1, 3, D_MODEL)
    nothing = torch.zeros_like(x)
    want = {
        "post": lambda: block.ln2(block.ln1(x)),
        "sandwich": lambda: x + block.ln1_out(nothing) + block.ln2_out(nothing),
    }
    assert_close(block.train()(x), want.get(kind, lambda: x)())
    assert not torch.equal(block.eval()(x), x)


def test_the_contracts_block_is_the_default() -> None:
    torch.manual_seed(0)
    a = TransformerBlock(D_MODEL, HEADS)
    names = ["ln1.weight", *(f"attn.{n}_proj.weight" for n in ("q", "k", "v", "output"))]
    names += ["ln2.weight", "ffn.w1.weight", "ffn.w2.weight", "ffn.w3.weight"]
    assert list(a.state_dict()) == names
    model = ModelConfig(10, d_model=D_MODEL, num_heads=HEADS).build()
    assert list(model.layers[0].state_dict()) == names


@pytest.mark.parametrize("kind", MEMBERS)
def test_models_of_it_learn_and_their_caches_are_right(kind: str) -> None:
    config = ModelConfig(
        20, context_length=8, d_model=16, num_heads=2, num_layers=2, block=MEMBERS[kind](),
        final_norm=kind != "post", ffn=SwiGLUConfig(d_ff=32),
    )  # fmt: skip
    model, ids = config.build(0), torch.randint(20, (3, 8))
    assert_close(cached_logits(model, ids, 3), model(ids), rtol=1e-4, atol=1e-5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        sums = model.loss(ids[:, :-1], ids[:, 1:])
        losses.append(sums.nats.item())
        (sums.objective / sums.tokens).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.5 * losses[0]


def test_an_impossible_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="residual_scale is 0; it must be above 0"):
        ModelConfig(10, d_model=8, num_heads=2, block=PreNormConfig(residual_scale=0))
