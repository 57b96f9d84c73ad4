"""How well a model predicts text it does not learn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from byteloom.data.batches import Batch
from byteloom.data.token_file import TokenIds
from byteloom.model import TransformerLM
from byteloom.nn.loss import IGNORED, Sums

T = TypeVar("T")


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
        """Nats a token; not a number without any."""
        return self.nats / self.tokens if self.tokens else math.nan

    @property
    def perplexity(self) -> float:
        """exp(loss): among how many equally likely tokens the model hesitates."""
        return math.inf if self.loss > 700 else math.exp(self.loss)

    @property
    def bits_per_byte(self) -> float | None:
        """Bits a byte of text: comparable across tokenizers, unlike the loss."""
        return self.nats / math.log(2) / self.bytes if self.bytes else None

    def __add__(self, other: Score) -> Score:
        """The score on both."""
        known = self.bytes is not None and other.bytes is not None
        size = (self.bytes or 0) + (other.bytes or 0) if known else None
        return Score(self.nats + other.nats, self.tokens + other.tokens, size)


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
    first: torch.Size | None = None
    try:
        for inputs, targets in batches:
            if stopped():
                return None
            first = targets.shape if first is None else first
            if token_bytes is not None:
                size += int(token_bytes[targets.numpy(force=True)].sum())
            with autocast():
                sums = loss(*(x.to(device) for x in _padded(inputs, targets, first)))
            nats += sums.nats
            tokens += targets.numel()
    finally:
        model.train(was_training)
    return Score(nats.item(), tokens, None if token_bytes is None else size)


def _padded(inputs: Tensor, targets: Tensor, shape: torch.Size) -> Batch:
    """The last batch made as large as the others: of another shape, it would be compiled anew."""
    if targets.shape == shape:
        return inputs, targets
    missing = (0, shape[1] - targets.shape[1], 0, shape[0] - targets.shape[0])
    pad = torch.nn.functional.pad
    return pad(inputs, missing), pad(targets, missing, value=IGNORED)


@torch.no_grad()
def evaluate_documents(
    model: TransformerLM,
    documents: Iterable[TokenIds],
    batch_size: int,
    token_bytes: NDArray[np.int64] | None = None,
) -> list[Score]:
    """Scores each document by itself: no token sees another document's.

    Every id of a document but its first is predicted once, in windows of the model's context.

    Args:
        model: in evaluation mode.
        documents: the ids of each, of shape (n,); of none or one id there is nothing to predict.
        batch_size: windows at a time.
        token_bytes: id -> length of its text in bytes, for bits per byte.
    """
    scores: list[Score] = []

    def windows() -> Iterator[tuple[int, NDArray[np.int64]]]:
        for number, document in enumerate(documents):
            ids = np.asarray(document, dtype=np.int64)
            size = None if token_bytes is None else int(token_bytes[ids[1:]].sum())
            scores.append(Score(0.0, max(0, len(ids) - 1), size))
            for start in range(0, len(ids) - 1, model.config.context_length):
                yield number, ids[start : start + model.config.context_length + 1]

    device = model.lm_head.weight.device
    for batch in batched(windows(), batch_size):
        shape = (len(batch), max(len(ids) for _, ids in batch))
        inputs, targets = torch.zeros(shape, dtype=torch.long), torch.full(shape, IGNORED)
        for row, (_, ids) in enumerate(batch):
            inputs[row, : len(ids)] = torch.from_numpy(ids)
            targets[row, : len(ids) - 1] = torch.from_numpy(ids[1:])
        hidden = model.hidden(inputs[:, :-1].to(device))
        rows = zip(batch, hidden, targets[:, :-1].to(device), strict=True)
        for (number, _), tokens, wanted in rows:
            sums = model.lm_head.loss(tokens, wanted)
            scores[number] += Score(sums.nats.item(), 0, None if token_bytes is None else 0)
    return scores


def batched(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one of what is left."""
    while batch := list(islice(items, size)):
        yield batch
