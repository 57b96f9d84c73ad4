"""The feed-forward networks against their formulas in torch's functions."""

from __future__ import annotations

import typing
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close
from transformers.activations import ACT2FN

from byteloom.nn import (
    DenseConfig,
    FeedForward,
    GeGLUConfig,
    GELUConfig,
    GLUConfig,
    ReGLUConfig,
    ReLUConfig,
    ReLUSquaredConfig,
    SiLUFeedForwardConfig,
    SwiGLU,
    SwiGLUConfig,
)
from closeness import assert_gradients_close


@pytest.mark.parametrize("shape", [(6,), (3, 6), (2, 3, 6)])
def test_swiglu_and_its_gradients_are_the_formula(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    ffn = SwiGLU(6, 10)
    w1, w2, w3 = (
        getattr(ffn, name).weight.detach().clone().requires_grad_() for name in ("w1", "w2", "w3")
    )
    a = torch.randn(shape, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    want = F.linear(F.silu(F.linear(b, w1)) * F.linear(b, w3), w2)
    assert_close(ffn(a), want)
    ffn(a).square().sum().backward()
    want.square().sum().backward()
    assert_close(a.grad, b.grad)
    for name, w in (("w1", w1), ("w2", w2), ("w3", w3)):
        assert_close(getattr(ffn, name).weight.grad, w.grad)


#: Kind, settings -> torch's or transformers' own module for the activation.
ACTIVATIONS: list[tuple[Any, nn.Module]] = [
    (ReLUConfig, nn.ReLU()),
    (ReLUSquaredConfig, ACT2FN["relu2"]),
    (GELUConfig, nn.GELU()),
    (partial(GELUConfig, approximate="tanh"), nn.GELU(approximate="tanh")),
    (SiLUFeedForwardConfig, nn.SiLU()),
    (ReGLUConfig, nn.ReLU()),
    (GeGLUConfig, nn.GELU()),
    (partial(GeGLUConfig, approximate="tanh"), ACT2FN["gelu_pytorch_tanh"]),
    (SwiGLUConfig, nn.SiLU()),
    (GLUConfig, nn.Sigmoid()),
]


class Peer(nn.Module):
    """A feed-forward network of torch's parts, with the names of ours."""

    def __init__(self, own: nn.Module, activation: nn.Module, bias: bool) -> None:
        super().__init__()
        for name, module in own.named_children():
            d_out, d_in = module.weight.shape
            setattr(self, name, nn.Linear(d_in, d_out, bias=bias))
        self.activation = activation
        self.load_state_dict(own.state_dict())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.activation(self.w1(x))
        return self.w2(inner * self.w3(x) if hasattr(self, "w3") else inner)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("which", range(len(ACTIVATIONS)))
def test_every_member_and_its_gradients_are_torchs(which: int, bias: bool) -> None:
    torch.manual_seed(which)
    make, activation = ACTIVATIONS[which]
    own = make(d_ff=10, bias=bias).build(6)
    for p in own.parameters():
        nn.init.normal_(p)
    peer = Peer(own, activation, bias)
    assert dict(peer.named_parameters()).keys() == dict(own.named_parameters()).keys()
    a = torch.randn(2, 3, 6, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    assert_close(own(a), peer(b), rtol=1e-5, atol=1e-5)
    own(a).square().sum().backward()
    peer(b).square().sum().backward()
    assert_gradients_close(a.grad, b.grad)
    for (name, p), q in zip(own.named_parameters(), peer.parameters(), strict=True):
        assert_gradients_close(p.grad, dict(peer.named_parameters())[name].grad)
        assert q.grad is not None


def test_all_dense_members_are_tested() -> None:
    members = typing.get_args(DenseConfig)
    made = {getattr(make, "func", make) for make, _ in ACTIVATIONS}
    assert made == set(members)


@pytest.mark.parametrize("d_model", [192, 384, 768, 1536])
def test_all_have_as_many_parameters_by_default(d_model: int) -> None:
    for make, _ in ACTIVATIONS:
        with torch.device("meta"):
            count = sum(p.numel() for p in make().build(d_model).parameters())
        assert count == pytest.approx(8 * d_model**2, rel=0.01)


def test_the_width_is_told_by_number_or_ratio() -> None:
    assert GELUConfig(ratio=2.5).build(8).w1.weight.shape == (20, 8)
    assert SwiGLUConfig(ratio=3).build(8).w3.weight.shape == (24, 8)
    with pytest.raises(ValueError, match=r"d_ff is 8 and ratio 2.0: give one of them"):
        ReLUConfig(d_ff=8, ratio=2.0)
    with pytest.raises(ValueError, match="ratio is -1; it must be above 0"):
        ReLUConfig(ratio=-1)


@pytest.mark.parametrize("which", range(len(ACTIVATIONS)))
def test_compiled_it_is_the_same(which: int) -> None:
    torch._dynamo.reset()
    own = ACTIVATIONS[which][0](d_ff=10, bias=True).build(6)
    x = torch.randn(4, 6)
    assert_close(torch.compile(own, backend="aot_eager", fullgraph=True)(x), own(x))


def test_shapes_of_the_weights_are_the_contracts() -> None:
    shapes = {name: tuple(w.shape) for name, w in SwiGLU(6, 10).state_dict().items()}
    assert shapes == {"w1.weight": (10, 6), "w2.weight": (6, 10), "w3.weight": (10, 6)}
    shapes = {name: tuple(w.shape) for name, w in FeedForward(6, 10, F.silu).state_dict().items()}
    assert shapes == {"w1.weight": (10, 6), "w2.weight": (6, 10)}


def test_the_default_size_is_eight_thirds_to_the_nearest_64() -> None:
    for d_model in [*range(1, 100), 128, 192, 256, 384, 512, 768, 1000, 1024]:
        with torch.device("meta"):
            d_ff = SwiGLUConfig().build(d_model).w1.weight.shape[0]
        assert d_ff % 64 == 0
        assert d_ff == 64 or abs(3 * d_ff - 8 * d_model) <= 3 * 32, d_model


def test_a_size_that_is_given_is_taken() -> None:
    with torch.device("meta"):
        assert SwiGLUConfig(d_ff=1344).build(512).w1.weight.shape == (1344, 512)
        assert SiLUFeedForwardConfig(d_ff=100).build(512).w1.weight.shape == (100, 512)


def test_the_ungated_default_has_as_many_parameters() -> None:
    with torch.device("meta"):
        assert SiLUFeedForwardConfig().build(384).w1.weight.shape == (4 * 384, 384)
        sizes = [
            sum(p.numel() for p in config.build(384).parameters())
            for config in (SwiGLUConfig(), SiLUFeedForwardConfig())
        ]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("make", [SwiGLUConfig, SiLUFeedForwardConfig])
@pytest.mark.parametrize("d_ff", [0, -64])
def test_an_impossible_size_is_refused(
    make: type[SwiGLUConfig] | type[SiLUFeedForwardConfig], d_ff: int
) -> None:
    with pytest.raises(ValueError, match=rf"{d_ff}; it must be above 0"):
        make(d_ff=d_ff).build(8)
