"""How well a model predicts text it does not learn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from byteloom.data.batches import Batch
from byteloom.nn.loss import Sums


@dataclass(frozen=True)
class Score:
    """A model's loss on some tokens."""

    nats: float
    """Sum of the cross-entropies of all targets."""
    tokens: int
    """How many targets."""
    bytes: int | None = None
    """How much text the targets stand for, if that is known."""

    @property
    def loss(self) -> float:
        """Nats a token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(loss): among how many equally likely tokens the model hesitates."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def bits_per_byte(self) -> float | None:
        """Bits a byte of text: comparable across tokenizers, unlike the loss."""
        return self.nats / math.log(2) / self.bytes if self.bytes else None


@torch.no_grad()
def evaluate(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Sums],
    batches: Iterable[Batch],
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[object]],
    token_bytes: NDArray[np.int64] | None = None,
    stopped: Callable[[], object] = lambda: False,
) -> Score | None:
    """Scores a model on batches, in evaluation mode; leaves it in the mode it was in.

    Args:
        model: whose mode it is.
        loss: of the model: inputs and targets, (batch, context) each -> sums over the targets.
        batches: what to predict; batches weigh as much as they have tokens.
        device: where the model is.
        autocast: makes the context the model runs in.
        token_bytes: id -> length of its text in bytes, for bits per byte.
        stopped: asked before each batch; when true, there is no result.

    Returns:
        The score; ``None`` if it was stopped.
    """
    was_training = model.training
    model.eval()
    # Sums of many small terms: in double precision where the device has it.
    nats = torch.zeros((), dtype=torch.float32 if device.type == "mps" else torch.float64)
    nats, tokens, size = nats.to(device), 0, 0
    try:
        for inputs, targets in batches:
            if stopped():
                return None
            if token_bytes is not None:
                size += int(token_bytes[targets.numpy(force=True)].sum())
            with autocast():
                sums = loss(inputs.to(device), targets.to(device))
            nats += sums.nats
            tokens += targets.numel()
    finally:
        model.train(was_training)
    return Score(nats.item(), tokens, None if token_bytes is None else size)
