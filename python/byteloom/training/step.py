"""One optimizer step, on one page: loss, backward, clip, schedule, optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from byteloom.data.batches import AnyBatch
from byteloom.nn.loss import IGNORED
from byteloom.nn.recompute import offloading
from byteloom.optim import clip_grad_norm
from byteloom.training.state import Run


class StepResult(NamedTuple):
    """What a step tells of itself; tensors stay on the device, so that nobody waits for them."""

    loss: Tensor
    """Mean cross-entropy over the step's tokens, in nats; scalar."""
    grad_norm: Tensor
    """L2 norm of the whole gradient, before clipping; scalar."""
    learning_rate: float
    """What the schedule gave; a group's own may be a multiple of it."""
    updated: bool | Tensor
    """Whether the weights were; not if the loss or the gradient was not finite."""
    notes: Sequence[Mapping[str, Tensor]] = ()
    """What parts of the model tell of the step, each by itself."""


class AbandonedError(RuntimeError):
    """A step was given up before its update, at somebody's wish: all is as before it."""


def train_step(
    run: Run,
    batches: Sequence[AnyBatch],
    wait: bool = True,
    stopped: Callable[[], bool] = lambda: False,
) -> StepResult:
    """Takes one step and counts it.

    A loss or a gradient that is not finite changes nothing but the count: neither the weights nor
    the optimizer's state.

    Args:
        run: its model, optimizer and schedule are used; its ``step`` grows by one.
        batches: whose gradients make up the one update, weighted by their tokens: one, or more
            where memory does not hold the batch at once.
        wait: whether to learn at once if the weights were updated. Otherwise, where the device can
            decide that by itself, it does, the result says it in a tensor, and it is for the caller
            to tell the run (:meth:`Run.note_update`): the device has its next work before this
            is done.
        stopped: asked between the batches; at its yes the step is given up.

    Raises:
        AbandonedError: it was; random numbers were drawn all the same.
    """
    learning_rate = run.schedule(run.step)
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate * group.get("lr_scale", 1.0)

    nats = torch.zeros((), device=run.device)
    tokens = torch.stack([(batch[-1] != IGNORED).sum() for batch in batches]).sum()
    for i, batch in enumerate(batches):
        if i > 0 and stopped():
            _end(run, updated=False)
            raise AbandonedError(f"step {run.step + 1} was given up")
        with run.autocast(), offloading(run.config.training.offload, run.device):
            sums = run.objective(*batch)
        # Plus what submodules add, router and z-losses: zero where none does.
        share = sums.tokens / tokens
        objective = sums.objective / tokens + run.model.penalty(run.penalizing) * share
        (objective * run.loss_scale.value).backward()  # type: ignore[no-untyped-call]
        nats += sums.nats

    loss, grad_norm = nats / tokens, _finish_gradients(run)
    finite = (loss + grad_norm).isfinite()
    updated: bool | Tensor
    if not wait and run.skips_on_device():
        updated = run.update_if(finite)
    else:
        updated = bool(finite)
        if updated:
            run.update()
        run.note_update(updated)
    notes = _end(run, updated)
    run.step += 1
    return StepResult(loss, grad_norm, learning_rate, updated, notes)


def _end(run: Run, updated: bool | Tensor) -> list[Mapping[str, Tensor]]:
    """Tells the model's parts, and forgets the gradients."""
    notes = [part.end_step(updated) for part in run.watching]
    for parameter in run.parameters:
        parameter.grad = None
    return notes


def _finish_gradients(run: Run) -> Tensor:
    """Undoes the scaling, and clips; returns the norm before that."""
    if run.loss_scale.value != 1:
        gradients = [p.grad for p in run.parameters if p.grad is not None]
        torch._foreach_mul_(gradients, 1 / run.loss_scale.value)
    clip = run.config.training.gradient_clip
    return clip_grad_norm(run.parameters, float("inf") if clip is None else clip)
