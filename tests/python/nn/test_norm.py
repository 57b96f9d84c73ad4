"""RMSNorm and LayerNorm against torch's, in every precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from byteloom.nn import LayerNorm, LayerNormConfig, RMSNorm, RMSNormConfig
from closeness import assert_gradients_close


def pairs(eps: float = 1e-5) -> list[tuple[nn.Module, nn.Module]]:
    """Own modules beside torch's, with the same weights, which are not all ones."""
    found: list[tuple[nn.Module, nn.Module]] = [
        (RMSNorm(12, eps), nn.RMSNorm(12, eps)),
        (RMSNorm(12, eps, gain=False), nn.RMSNorm(12, eps, elementwise_affine=False)),
        (LayerNorm(12, eps), nn.LayerNorm(12, eps, bias=False)),
        (LayerNorm(12, eps, bias=True), nn.LayerNorm(12, eps)),
    ]
    generator = torch.Generator().manual_seed(1)
    for own, peer in found:
        for p in own.parameters():
            nn.init.normal_(p, generator=generator)
        peer.load_state_dict(own.state_dict())
    return found


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e6])
def test_norm_and_its_gradients_are_torchs(which: int, scale: float) -> None:
    own, peer = pairs()[which]
    generator = torch.Generator().manual_seed(2)
    a = (torch.randn(2, 3, 12, generator=generator) * scale + scale).requires_grad_()
    b = a.detach().clone().requires_grad_()
    upstream = torch.randn(2, 3, 12, generator=generator)
    assert_close(own(a), peer(b), rtol=1e-5, atol=1e-5)
    own(a).backward(upstream)
    peer(b).backward(upstream)
    assert a.grad is not None and b.grad is not None
    assert_gradients_close(a.grad * scale, b.grad * scale)
    for p, q in zip(own.parameters(), peer.parameters(), strict=True):
        assert_gradients_close(p.grad, q.grad)


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("eps", [1e-8, 1e-5, 0.1])
def test_eps_is_where_torch_has_it(which: int, eps: float) -> None:
    own, peer = pairs(eps)[which]
    x = torch.randn(4, 12, generator=torch.Generator().manual_seed(3)) * 1e-2
    assert_close(own(x), peer(x))


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(which: int, dtype: torch.dtype) -> None:
    own, peer = pairs()[which]
    # The squares of these are beyond what float16 can hold.
    x = (torch.randn(4, 12, generator=torch.Generator().manual_seed(4)) * 1000).to(dtype)
    y = own(x)
    assert y.dtype == dtype
    assert torch.equal(y, peer(x.float()).to(dtype))


@pytest.mark.parametrize("which", range(4))
def test_autocast_does_not_lower_the_precision(which: int) -> None:
    own, _ = pairs()[which]
    x = torch.randn(4, 12, generator=torch.Generator().manual_seed(5))
    with torch.autocast("cpu", torch.bfloat16):
        y = own(x)
    assert torch.equal(y, own(x))


@pytest.mark.parametrize("which", range(4))
def test_zeros_stay_finite(which: int) -> None:
    own, peer = pairs()[which]
    x = torch.zeros(2, 12, requires_grad=True)
    y = own(x)
    assert_close(y, peer(torch.zeros(2, 12)))
    y.sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())


def test_weights_start_at_one_and_biases_at_zero() -> None:
    assert RMSNorm(5).weight.tolist() == [1.0] * 5
    norm = LayerNorm(5, bias=True)
    assert norm.weight.tolist() == [1.0] * 5
    assert norm.bias is not None and norm.bias.tolist() == [0.0] * 5
    assert list(LayerNorm(5).state_dict()) == ["weight"]


def test_configurations_build_what_they_say() -> None:
    rms, layer = RMSNormConfig(eps=0.25).build(6), LayerNormConfig(eps=0.5, bias=True).build(6)
    assert isinstance(rms, RMSNorm) and rms.eps == 0.25 and rms.weight.shape == (6,)
    assert isinstance(layer, LayerNorm) and layer.eps == 0.5 and layer.bias is not None
    assert LayerNormConfig().build(6).bias is None


def test_without_a_gain_nothing_is_learned() -> None:
    assert list(RMSNormConfig(gain=False).build(6).parameters()) == []
    with pytest.raises(ValueError, match="unit_offset is of a gain, but gain is false"):
        RMSNormConfig(gain=False, unit_offset=True)


@pytest.mark.parametrize("make", [RMSNormConfig, LayerNormConfig])
@pytest.mark.parametrize("eps", [0.0, -1e-5, float("nan")])
def test_an_impossible_eps_is_refused(
    make: type[RMSNormConfig] | type[LayerNormConfig], eps: float
) -> None:
    with pytest.raises(ValueError, match=rf"eps is {eps}; it must be above 0"):
        make(eps=eps).build(4)
