"""Token ids -> batches of (inputs, targets), in an order that is a pure function of the seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from byteloom.data.order import IGNORED, Order, check_batch_size
from byteloom.data.shards import Shards
from byteloom.data.windows import Tokens, Windows, check_tokens, gather, ids_of, windows_of

#: Inputs and targets, (batch, context) each: the target is the id after the input.
Batch: TypeAlias = tuple[Int64[Tensor, "batch context"], Int64[Tensor, "batch context"]]
#: What any kind of model learns from: what its objective takes, the targets last, ``IGNORED`` where
#: there is nothing to predict; all of int64, with a row for each text.
AnyBatch: TypeAlias = tuple[Tensor, ...]


class Batches(Order[Windows]):
    """Batches without replacement: any step's batch, in any order, from (seed, step) alone.

    Windows are numbered through the run, and a batch takes the next ``batch_size`` of them. With
    one source, the numbers are those of :class:`Windows`: an epoch has every window once, and every
    id but the first as a target once. With several, :class:`Mixture` says which source a number
    belongs to, and each source has epochs of its own. All windows are read at full length: where an
    epoch's first and last are shorter, the targets that are not theirs are ``IGNORED``.
    Nothing is stored, so that a run of any length resumes anywhere at no cost, and another batch
    size, or several processes, still draw the same sequence of windows.

    Args:
        tokens: ids, mapped or in memory; or several of those, to be mixed.
        batch_size: windows in a batch.
        context_length: ids in a window; one more is read, the last target.
        seed: of the orders and the cuts.
        weights: how much is drawn from each of several; ``None``: as they have windows, so that all
            are gone through equally often.

    Raises:
        ValueError: fewer ids than one window takes; weights that :class:`Mixture` refuses, or not
            one for each source.

    Example:
        >>> batches = Batches(np.arange(100, dtype=np.uint16), 2, 8, seed=0)
        >>> inputs, targets = batches.batch_at(3)
        >>> own = targets != IGNORED
        >>> tuple(inputs.shape), bool((targets == inputs + 1)[own].all())
        ((2, 8), True)
        >>> targets = Batches(np.arange(10, dtype=np.uint16), 2, 8, seed=0).batch_at(0)[1]
        >>> sorted(targets[targets != IGNORED].tolist())
        [1, 2, 3, 4, 5, 6, 7, 8, 9]
        >>> short, long = np.zeros(90, np.uint16), np.ones(900, np.uint16)
        >>> mixed = Batches([short, long], 256, 8, seed=0, weights=[1, 3])
        >>> mixed.batch_at(0)[0].float().mean().item()
        0.75
        >>> [round(epoch, 1) for epoch in mixed.epochs_at(1)]
        [5.3, 1.7]
    """

    def __init__(
        self,
        tokens: Tokens | Sequence[Tokens],
        batch_size: int,
        context_length: int,
        seed: int,
        weights: Sequence[float] | None = None,
    ) -> None:
        sources = windows_of(tokens, context_length, seed)
        super().__init__(sources, batch_size, context_length, seed, weights)

    def batch_at(self, step: int) -> Batch:
        """The batch of a step, counted from 0; int64, in main memory."""
        length = self.context_length + 1
        ids = np.empty((self.batch_size, length), dtype=np.int64)
        sources, starts = self.drawn(step)
        read = np.empty_like(starts)
        for number, source in enumerate(self.sources):
            own = sources == number
            read[own] = source.within(starts[own])
            ids[own] = gather(source.ids, read[own], length)
        inputs, targets = _split(ids)
        if len(rows := np.flatnonzero(moved := read - starts)):
            targets = targets.clone()  # of a single row, it shares the inputs' memory
            targets.numpy()[rows] = own_targets(targets.numpy()[rows], moved[rows])
        return inputs, targets


def own_targets(targets: NDArray[np.int64], moved: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leaves windows the targets that are theirs, and not the neighbour's.

    Args:
        targets: (windows, context).
        moved: by how much each is read further ahead than it begins, shape (windows,).

    Example:
        >>> own_targets(np.array([[1, 2, 3], [7, 8, 9]]), np.array([2, -1])).tolist()
        [[1, -100, -100], [-100, 8, 9]]
    """
    length = targets.shape[1]
    places = np.arange(length) + moved[:, None]
    return np.where((places >= 0) & (places < length), targets, IGNORED)


def random_batch(
    tokens: Tokens,
    batch_size: int,
    context_length: int,
    device: str | torch.device = "cpu",
    generator: np.random.Generator | None = None,
) -> Batch:
    """A batch drawn with replacement: every start i with i + context_length < n is as likely.

    Args:
        tokens: n ids.
        batch_size: windows in the batch.
        context_length: ids in a window.
        device: where the tensors go.
        generator: where the chance comes from; by default torch's global generator, so that
            ``torch.manual_seed`` fixes it.

    Raises:
        ValueError: fewer ids than one window takes.
    """
    check_batch_size(batch_size)
    check_tokens(tokens, context_length)
    places = len(tokens) - context_length
    if generator is None:
        starts: list[int] = torch.randint(places, (batch_size,)).tolist()
    else:
        starts = generator.integers(places, size=batch_size).tolist()
    inputs, targets = _gather(ids_of(tokens), starts, context_length)
    return inputs.to(device), targets.to(device)


def validation_batches(
    tokens: Tokens, batch_size: int, context_length: int, count: int
) -> list[Batch]:
    """The same batches every time: whole windows, evenly spread over the tokens.

    Args:
        tokens: ids.
        batch_size: windows in a batch.
        context_length: ids in a window.
        count: at most this many batches; fewer if the tokens have no more windows.

    Raises:
        ValueError: fewer ids than one window takes.
    """
    check_batch_size(batch_size)
    check_tokens(tokens, context_length)
    available = (len(tokens) - 1) // context_length
    wanted = min(available, batch_size * count)
    starts = [context_length * (i * available // wanted) for i in range(wanted)]
    ids = ids_of(tokens)
    return [
        _gather(ids, starts[i : i + batch_size], context_length)
        for i in range(0, wanted, batch_size)
    ]


def sequential_batches(tokens: Tokens, batch_size: int, context_length: int) -> Iterator[Batch]:
    """Every id but the first as a target once, in order; the last window may be shorter.

    Raises:
        ValueError: fewer than two ids: there is nothing to predict.
    """
    ids = ids_of(tokens)
    if len(ids) < 2:
        raise ValueError(f"{len(ids)} ids: two are needed to predict one from another")
    whole, rest = divmod(len(ids) - 1, context_length)
    for first in range(0, whole, batch_size):
        windows = range(first, min(first + batch_size, whole))
        yield _gather(ids, [w * context_length for w in windows], context_length)
    if rest:
        yield _gather(ids, [whole * context_length], rest)


def _gather(ids: NDArray[Any] | Shards, starts: Sequence[int], context_length: int) -> Batch:
    """Windows of the ids -> inputs and targets."""
    return _split(gather(ids, starts, context_length + 1))


def _split(windows: NDArray[np.int64]) -> Batch:
    """Windows, with the id after each -> inputs and targets."""
    both = torch.from_numpy(windows)
    return both[:, :-1].contiguous(), both[:, 1:].contiguous()
