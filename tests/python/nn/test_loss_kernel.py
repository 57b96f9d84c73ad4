"""The kernel of the loss against torch's functions: interpreted, and on a GPU if there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from byteloom.nn.loss import IGNORED, linear_cross_entropy

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

# Less than one block, exactly one, more than one, and the larger blocks.
WIDTHS = (1, 2, 3, 100, 2047, 2048, 2049, 5000, 16_384, 16_385)


def by_torch(logits: Tensor, targets: Tensor, z_loss: float) -> tuple[Tensor, Tensor, Tensor]:
    """Objectives, nats, and the gradient of the objectives' sum, in float64."""
    wide = logits.double().requires_grad_()
    nats = F.cross_entropy(wide, targets, ignore_index=IGNORED, reduction="none")
    objectives = nats + z_loss * wide.logsumexp(-1).square() * (targets != IGNORED)
    (gradient,) = torch.autograd.grad(objectives.sum(), wide)
    return objectives.detach(), nats.detach(), gradient


def compare(device: str, widths: tuple[int, ...], rows: int = 5) -> None:
    """All types and both losses, with some targets that do not count."""
    from byteloom.nn.loss_kernel import loss_over_logits

    torch.manual_seed(0)
    for vocab in widths:
        targets = torch.randint(vocab, (rows,), device=device)
        targets[1] = IGNORED
        for dtype, tol in ((torch.float32, 1e-5), (torch.bfloat16, 8e-3), (torch.float16, 1e-3)):
            for z_loss in (0.0, 0.1):
                # Large ones, whose exponentials do not fit into any type, among them.
                logits = (torch.randn(rows, vocab, device=device) * 10).to(dtype)
                logits[2] += 500
                objectives, nats, gradient = by_torch(logits, targets, z_loss)
                losses = loss_over_logits(logits, targets, IGNORED, z_loss)
                expected = torch.stack((objectives, nats), -1).float()
                torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-4)
                torch.testing.assert_close(logits.double(), gradient, rtol=tol, atol=1e-6)


def test_interpreted_on_a_cpu_it_is_what_torch_computes() -> None:
    code = "import test_loss_kernel as t; t.compare('cpu', t.WIDTHS); print('compared')"
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.strip() == "compared", found.stderr[-2000:]


@on_gpu
def test_on_a_gpu_it_is_what_torch_computes() -> None:
    compare("cuda", (*WIDTHS, 10_000, 32_000, 50_257, 128_256), rows=70)


@on_gpu
def test_the_loss_of_a_head_on_a_gpu_is_that_of_all_logits() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(300, 64, device="cuda", requires_grad=True)
    weight = torch.randn(1000, 64, device="cuda", requires_grad=True)
    targets = torch.randint(1000, (300,), device="cuda")
    targets[7] = IGNORED
    sums = linear_cross_entropy(hidden, weight, targets, z_loss=1e-2, piece=128)
    sums.objective.backward()
    objectives, nats, _ = by_torch((hidden @ weight.T).detach(), targets, 1e-2)
    logits = hidden.double() @ weight.double().T
    wanted = F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
    wanted = wanted + 1e-2 * (logits.logsumexp(-1).square() * (targets != IGNORED)).sum()
    expected = torch.autograd.grad(wanted, (hidden, weight))
    torch.testing.assert_close(sums.objective, objectives.sum().float(), rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(sums.nats, nats.sum().float(), rtol=1e-4, atol=1e-2)
    for tensor, grad in zip((hidden, weight), expected, strict=True):
        assert tensor.grad is not None
        torch.testing.assert_close(tensor.grad, grad, rtol=1e-3, atol=1e-3)


def test_on_tensors_that_hold_nothing_it_tells_the_shape() -> None:
    from byteloom.nn.loss_kernel import loss_over_logits

    losses = loss_over_logits(
        torch.empty(3, 7, device="meta"), torch.empty(3, device="meta").long(), IGNORED, 0.0
    )
    assert losses.shape == (3, 2) and losses.dtype == torch.float32 and losses.is_meta
