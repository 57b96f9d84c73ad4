from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from byteloom.nn.loss import IGNORED, linear_cross_entropy


def written_out(hidden: Tensor, weight: Tensor, targets: Tensor, z_loss: float) -> Tensor:
    """The objective from all logits at once, by torch's functions."""
    logits = (hidden @ weight.T).flatten(0, -2)
    flat = targets.flatten()
    nats = F.cross_entropy(logits, flat, ignore_index=IGNORED, reduction="sum")
    return nats + z_loss * (logits.logsumexp(-1).square() * (flat != IGNORED)).sum()


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 7)),
    vocab=st.integers(1, 20),
    piece=st.integers(1, 30),
    z_loss=st.sampled_from([0.0, 1e-3, 0.5]),
    ignored=st.floats(0, 1),
    scale=st.sampled_from([0.0, 1.0, 100.0]),
    seed=st.integers(0, 1000),
)
def test_it_is_the_loss_of_all_logits_in_pieces_of_any_size(
    shape: tuple[int, int], vocab: int, piece: int, z_loss: float, ignored: float, scale: float,
    seed: int,
) -> None:  # fmt: skip
    chance = torch.Generator().manual_seed(seed)
    hidden = (scale * torch.randn(*shape, 5, generator=chance, dtype=torch.float64)).float()
    weight = torch.randn(vocab, 5, generator=chance)
    targets = torch.randint(vocab, shape, generator=chance)
    targets[torch.rand(shape, generator=chance) < ignored] = IGNORED
    a, b = [(hidden.clone().requires_grad_(), weight.clone().requires_grad_()) for _ in range(2)]
    sums = linear_cross_entropy(*a, targets, z_loss, piece)
    expected = written_out(b[0].double(), b[1].double(), targets, z_loss)
    (0.5 * sums.objective).backward()
    (0.5 * expected).backward()
    assert sums.objective.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-4)
    plain = written_out(hidden.double(), weight.double(), targets, 0.0).item()
    assert sums.nats.item() == pytest.approx(plain, rel=1e-5, abs=1e-4)
    assert sums.tokens.item() == (targets != IGNORED).sum().item()
    for x, y in zip(a, b, strict=True):
        assert x.grad is not None and y.grad is not None
        # Large terms may leave a small sum.
        atol = 1e-4 * (1 + scale) + 1e-6 * y.grad.abs().max().item()
        assert torch.allclose(x.grad, y.grad, rtol=1e-4, atol=atol)


def test_it_passes_torchs_check_of_gradients() -> None:
    hidden = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 5, IGNORED, 2])

    def objective(hidden: Tensor, weight: Tensor) -> Tensor:
        return linear_cross_entropy(hidden, weight, targets, 0.1, piece=3).objective.double()

    # The sums are float32: no finer steps than these.
    assert torch.autograd.gradcheck(objective, (hidden, weight), eps=1e-2, atol=1e-2, rtol=1e-2)


def test_without_gradients_none_are_made() -> None:
    hidden, weight = torch.randn(4, 3), torch.randn(6, 3, requires_grad=True)
    with torch.no_grad():
        assert not linear_cross_entropy(
            hidden, weight, torch.zeros(4).long()
        ).objective.requires_grad
    sums = linear_cross_entropy(hidden, weight, torch.zeros(4).long())
    sums.objective.backward()
    assert weight.grad is not None and not sums.nats.requires_grad


def test_in_autocast_products_are_bf16_and_gradients_have_their_weights_type() -> None:
    hidden, weight = (
        torch.randn(64, 32, requires_grad=True),
        torch.randn(50, 32, requires_grad=True),
    )
    targets = torch.arange(64) % 50
    with torch.autocast("cpu", torch.bfloat16):
        sums = linear_cross_entropy(hidden, weight, targets, piece=10)
    sums.objective.backward()
    expected = written_out(hidden, weight, targets, 0.0)
    grads = torch.autograd.grad(expected, (hidden, weight))
    assert sums.objective.dtype == torch.float32
    assert sums.nats.item() == pytest.approx(expected.item(), rel=0.01)
    for tensor, grad in zip((hidden, weight), grads, strict=True):
        assert tensor.grad is not None and tensor.grad.dtype == torch.float32
        assert 0 < (tensor.grad - grad).norm() < 0.02 * grad.norm()


def test_no_tensor_is_as_large_as_all_logits() -> None:
    tokens, vocab, piece = 256, 512, 16
    hidden, weight = torch.randn(tokens, 8, requires_grad=True), torch.randn(vocab, 8)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            found = function(*args, **kwargs or {})
            for tensor in found if isinstance(found, tuple | list) else [found]:
                if isinstance(tensor, Tensor):
                    largest = max(largest, tensor.numel())
            return found

    with Watch():
        linear_cross_entropy(
            hidden, weight, torch.zeros(tokens).long(), piece=piece
        ).objective.backward()
    assert largest == piece * vocab


def test_compiled_it_is_the_same() -> None:
    hidden, weight = torch.randn(40, 8, requires_grad=True), torch.randn(30, 8, requires_grad=True)
    targets = torch.arange(40) % 30
    targets[3] = IGNORED
    found = []
    for compiled in (False, True):
        sums = linear_cross_entropy(hidden, weight, targets, 0.01, piece=16, compiled=compiled)
        grads = torch.autograd.grad(sums.objective, (hidden, weight))
        found.append([sums.objective, *grads])
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5)
