"""Linear, Embedding and the block: against torch's modules, and how their weights start."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from byteloom.nn import (
    Embedding,
    LayerNormConfig,
    Linear,
    SiLUFeedForwardConfig,
    TransformerBlock,
)

#: Standard deviation of a standard normal distribution that is cut at 3.
CUT_STD = math.sqrt(1 - 6 * math.exp(-4.5) / math.sqrt(2 * math.pi) / math.erf(3 / math.sqrt(2)))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 3), (0, 3)])
def test_linear_and_its_gradients_are_torchs(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    own, peer = Linear(3, 5), nn.Linear(3, 5, bias=False)
    peer.load_state_dict(own.state_dict())
    a = torch.randn(shape, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    assert_close(own(a), peer(b))
    own(a).square().sum().backward()
    peer(b).square().sum().backward()
    assert_close(a.grad, b.grad)
    assert_close(own.weight.grad, peer.weight.grad)


@pytest.mark.parametrize("shape", [(), (4,), (2, 4), (2, 1, 4), (0,)])
def test_embedding_and_its_gradient_are_torchs(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    own, peer = Embedding(7, 5), nn.Embedding(7, 5)
    peer.load_state_dict(own.state_dict())
    ids = torch.randint(7, shape)
    assert_close(own(ids), peer(ids))
    own(ids).square().sum().backward()
    peer(ids).square().sum().backward()
    assert_close(own.weight.grad, peer.weight.grad)


@pytest.mark.parametrize(("d_in", "d_out"), [(300, 200), (50, 1000), (1000, 50)])
def test_linear_weights_start_as_a_cut_normal(d_in: int, d_out: int) -> None:
    torch.manual_seed(0)
    weight = Linear(d_in, d_out).weight.detach()
    std = math.sqrt(2 / (d_in + d_out))
    assert weight.shape == (d_out, d_in)
    check_cut_normal(weight, std)


def test_embedding_starts_as_a_cut_normal() -> None:
    torch.manual_seed(0)
    check_cut_normal(Embedding(500, 100).weight.detach(), 1.0)


def check_cut_normal(weight: torch.Tensor, std: float) -> None:
    """All within 3 sigma, some close to it, and moments within five standard errors."""
    n = weight.numel()
    assert float(weight.abs().max()) <= 3 * std
    assert float(weight.max()) > 2.9 * std
    assert float(weight.min()) < -2.9 * std
    assert abs(float(weight.mean())) < 5 * std / math.sqrt(n)
    assert abs(float(weight.std()) / (std * CUT_STD) - 1) < 5 / math.sqrt(2 * n)
    # A uniform distribution would have 1/3 within one of three sigma.
    assert abs(float((weight.abs() < std).float().mean()) - 0.6827 / 0.9973) < 0.01


@pytest.mark.parametrize("make", [Linear, Embedding])
def test_device_and_dtype_are_taken(make: type[Linear] | type[Embedding]) -> None:
    layer = make(4, 6, device="meta", dtype=torch.bfloat16)
    assert layer.weight.device.type == "meta"
    assert layer.weight.dtype == torch.bfloat16
    # The weight is everything there is.
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


def test_what_print_shows() -> None:
    assert repr(Linear(3, 5)) == "Linear(3 -> 5)"
    assert repr(Embedding(10, 4)) == "Embedding(10 x 4)"


def test_block_is_the_two_residuals_of_the_paper() -> None:
    torch.manual_seed(0)
    block = TransformerBlock(d_model=16, num_heads=2)
    x = torch.randn(2, 5, 16)
    with torch.no_grad():
        block.ln1.weight.uniform_(0.5, 2)
        block.ln2.weight.uniform_(0.5, 2)
        attention = nn.MultiheadAttention(16, 2, bias=False, batch_first=True)
        attention.in_proj_weight.copy_(
            torch.cat([getattr(block.attn, f"{n}_proj").weight for n in "qkv"])
        )
        attention.out_proj.weight.copy_(block.attn.output_proj.weight)
        hidden = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
        n = nn.functional.rms_norm(x, (16,), block.ln1.weight, 1e-5)
        y = x + attention(n, n, n, attn_mask=hidden, need_weights=False)[0]
        n = nn.functional.rms_norm(y, (16,), block.ln2.weight, 1e-5)
        gate = nn.functional.silu(n @ block.ffn.w1.weight.T)
        y = y + (gate * (n @ block.ffn.w3.weight.T)) @ block.ffn.w2.weight.T
        assert_close(block(x), y)


def test_block_takes_the_parts_that_configurations_choose() -> None:
    block = TransformerBlock(
        16, 2, ffn=SiLUFeedForwardConfig(d_ff=24), norm=LayerNormConfig(bias=True)
    )
    assert block.ffn.activation is nn.functional.silu
    assert block.ffn.w1.weight.shape == (24, 16)
    names = {name for name, _ in block.named_parameters()}
    assert {"ln1.bias", "ln2.bias"} <= names
    assert block(torch.zeros(1, 3, 16)).shape == (1, 3, 16)
