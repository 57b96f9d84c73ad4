"""The feed-forward networks against their formulas in torch's functions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from byteloom.nn import SiLUFeedForward, SiLUFeedForwardConfig, SwiGLU, SwiGLUConfig


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


def test_silu_network_and_its_gradients_are_torchs() -> None:
    torch.manual_seed(0)
    own = SiLUFeedForward(6, 10)
    peer = torch.nn.Sequential(
        torch.nn.Linear(6, 10, bias=False), torch.nn.SiLU(), torch.nn.Linear(10, 6, bias=False)
    )
    peer.load_state_dict({"0.weight": own.w1.weight, "2.weight": own.w2.weight})
    a = torch.randn(2, 3, 6, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    assert_close(own(a), peer(b))
    own(a).square().sum().backward()
    peer(b).square().sum().backward()
    assert_close(a.grad, b.grad)
    assert_close(own.w1.weight.grad, peer[0].weight.grad)
    assert_close(own.w2.weight.grad, peer[2].weight.grad)


def test_shapes_of_the_weights_are_the_contracts() -> None:
    shapes = {name: tuple(w.shape) for name, w in SwiGLU(6, 10).state_dict().items()}
    assert shapes == {"w1.weight": (10, 6), "w2.weight": (6, 10), "w3.weight": (10, 6)}
    shapes = {name: tuple(w.shape) for name, w in SiLUFeedForward(6, 10).state_dict().items()}
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
