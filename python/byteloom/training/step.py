"""One optimizer step, on one page: forward, loss, backward, clip, schedule, optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from byteloom.data.batches import Batch
from byteloom.nn.functional import cross_entropy
from byteloom.optim import clip_grad_norm
from byteloom.training.state import Run


class StepResult(NamedTuple):
    """What a step tells of itself; tensors stay on the device, so that nobody waits for them."""

    loss: Tensor
    """Mean cross-entropy over the step's tokens, in nats; scalar."""
    grad_norm: Tensor
    """L2 norm of the whole gradient, before clipping; scalar."""
    learning_rate: float
    """What the schedule gave."""


def train_step(run: Run, batches: Sequence[Batch]) -> StepResult:
    """Takes one step and counts it.

    Args:
        run: its model, optimizer and schedule are used; its ``step`` grows by one.
        batches: equally large batches whose gradients are averaged before the one update: one, or
            more where memory does not hold the batch at once.
    """
    learning_rate = run.schedule(run.step)
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate

    loss = torch.zeros((), device=run.device)
    for inputs, targets in batches:
        with run.autocast():
            logits = run.forward(inputs)  # (batch, context, vocab)
        batch_loss = cross_entropy(logits.float(), targets)
        # Plus what submodules add, router and z-losses: zero where none does.
        objective = batch_loss + run.model.penalty()
        (objective / len(batches)).backward()  # type: ignore[no-untyped-call]
        loss += batch_loss.detach() / len(batches)

    clip = run.config.training.gradient_clip
    grad_norm = clip_grad_norm(run.model.parameters(), float("inf") if clip is None else clip)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    run.step += 1
    return StepResult(loss, grad_norm, learning_rate)
