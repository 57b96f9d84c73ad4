"""The loss of logits and its gradient in one kernel, for GPUs.

A row of logits is read once from memory for its maximum and sum (Milakov & Gimelshein 2018,
arXiv:1805.02867), and once more, from the cache, to become its own gradient. So memory moves what
the logits are, once in and once out, and no second tensor of their size exists.
"""

from __future__ import annotations

from typing import no_type_check

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor


@torch.library.custom_op(
    "byteloom::loss_over_logits",
    mutates_args=("logits",),
    schema="(Tensor(a!) logits, Tensor targets, int ignored, float z_loss) -> Tensor",
)
def loss_over_logits(logits: Tensor, targets: Tensor, ignored: int, z_loss: float) -> Tensor:
    """Each row's objective and nats, 0 where nothing is to be predicted.

    The rows themselves become the gradient of the objectives' sum.

    Args:
        logits: (rows, vocab), of a type of floating point.
        targets: (rows,), columns or ``ignored``.
        ignored: the target of a row that does not count.
        z_loss: weight of log(Z)^2.

    Returns:
        (rows, 2), in float32.
    """
    rows, vocab = logits.shape
    assert logits.stride(1) == 1 and targets.stride(0) == 1
    losses = torch.empty(rows, 2, dtype=torch.float32, device=logits.device)
    # Measured on an H200: see docs/step.md.
    block, warps = (2048, 4) if vocab <= 1 << 14 else (8192, 8)
    _kernel[(rows,)](
        logits, targets, losses, logits.stride(0), ignored, z_loss, vocab, block, num_warps=warps
    )
    return losses


@loss_over_logits.register_fake
def _shape(logits: Tensor, targets: Tensor, ignored: int, z_loss: float) -> Tensor:
    """What it returns, for tensors that hold nothing."""
    return logits.new_empty(len(logits), 2, dtype=torch.float32)


@triton.jit
@no_type_check  # Triton compiles the function as it stands: nothing may be wrapped around it
def _kernel(
    logits, targets, losses, stride, ignored, z_loss, VOCAB: tl.constexpr, BLOCK: tl.constexpr
):
    """One row."""
    row = tl.program_id(0).to(tl.int64)
    begin = logits + row * stride
    target = tl.load(targets + row)
    counted = target != ignored
    target_logit = tl.load(begin + tl.where(counted, target, 0)).to(tl.float32)

    # Of the columns so far, the sum of exp(logit - largest).
    largest, total = -float("inf"), 0.0
    for at in range(0, VOCAB, BLOCK):
        columns = at + tl.arange(0, BLOCK)
        x = tl.load(begin + columns, mask=columns < VOCAB, other=-float("inf")).to(tl.float32)
        larger = tl.maximum(largest, tl.max(x, 0))
        total = total * tl.exp(largest - larger) + tl.sum(tl.exp(x - larger), 0)
        largest = larger
    log_z = largest + tl.log(total)
    nats = log_z - target_logit
    tl.store(losses + 2 * row, tl.where(counted, nats + z_loss * log_z * log_z, 0.0))
    tl.store(losses + 2 * row + 1, tl.where(counted, nats, 0.0))

    # d nats / d logit = probability - 1 at the target; d log_z^2 / d logit = 2 log_z probability.
    share = tl.where(counted, (1 + 2 * z_loss * log_z) / total, 0.0)
    # Nobody may write over the target's logit before all threads have read it.
    tl.debug_barrier()
    for at in range(0, VOCAB, BLOCK):
        columns = at + tl.arange(0, BLOCK)
        x = tl.load(begin + columns, mask=columns < VOCAB, other=-float("inf")).to(tl.float32)
        gradient = tl.exp(x - largest) * share - tl.where((columns == target) & counted, 1.0, 0.0)
        tl.store(begin + columns, gradient.to(logits.dtype.element_ty), mask=columns < VOCAB)
