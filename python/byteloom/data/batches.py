"""Token ids -> batches of (inputs, targets), in an order that is a pure function of the seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from byteloom.data.permutation import Permutation
from byteloom.data.shards import Shards
from byteloom.data.token_file import TokenFile

#: What ids may come as.
Tokens: TypeAlias = TokenFile | NDArray[Any]
#: Inputs and targets, (batch, context) each: the target is the id after the input.
Batch: TypeAlias = tuple[Int64[Tensor, "batch context"], Int64[Tensor, "batch context"]]


class Batches:
    """Batches without replacement: any step's batch, in any order, from (seed, step) alone.

    An epoch cuts the tokens into windows of ``context_length`` that follow each other from an
    offset of its own, and visits every window once, in an order of its own. Windows are numbered
    through all epochs: a batch takes the next ``batch_size`` of them and may cross into the next
    epoch. Nothing is stored, so that a run of any length resumes anywhere at no cost, and another
    batch size, or several processes, still draw the same sequence of windows.

    Args:
        tokens: ids, mapped or in memory.
        batch_size: windows in a batch.
        context_length: ids in a window; one more is read, the last target.
        seed: of the orders and the offsets.

    Raises:
        ValueError: fewer ids than one window takes.

    Example:
        >>> batches = Batches(np.arange(100, dtype=np.uint16), 2, 8, seed=0)
        >>> inputs, targets = batches.batch_at(3)
        >>> tuple(inputs.shape), bool((targets == inputs + 1).all())
        ((2, 8), True)
    """

    def __init__(self, tokens: Tokens, batch_size: int, context_length: int, seed: int) -> None:
        _check(tokens, batch_size, context_length)
        self.ids = _ids(tokens)
        self.batch_size = batch_size
        self.context_length = context_length
        self.seed = seed
        usable = len(self.ids) - 1  # the last id is a target only
        #: Windows in an epoch: one fewer than would fit leaves room for any offset.
        self.windows_per_epoch = max(1, (usable - context_length + 1) // context_length)
        room = usable - self.windows_per_epoch * context_length
        self._offsets = min(context_length, room + 1)
        self._epochs: dict[int, tuple[int, Permutation]] = {}

    def batch_at(self, step: int) -> Batch:
        """The batch of a step, counted from 0; int64, in main memory."""
        return _gather(
            self.ids,
            self.starts(step * self.batch_size, self.batch_size),
            self.context_length,
        )

    def starts(self, first: int, count: int) -> list[int]:
        """Where the windows number ``first`` to ``first + count - 1`` of the run begin."""
        found: list[int] = []
        while len(found) < count:
            epoch, place = divmod(first + len(found), self.windows_per_epoch)
            until = min(self.windows_per_epoch, place + count - len(found))
            offset, order = self._epoch(epoch)
            windows = order(np.arange(place, until)).tolist()
            found += [offset + window * self.context_length for window in windows]
        return found

    def epoch_at(self, step: int) -> float:
        """How often the tokens have been gone through before this step."""
        return step * self.batch_size / self.windows_per_epoch

    def _epoch(self, epoch: int) -> tuple[int, Permutation]:
        """An epoch's offset and order; the last one asked for is kept."""
        if epoch not in self._epochs:
            entropy = np.random.SeedSequence([self.seed % (1 << 64), epoch])
            offset = int(np.random.Generator(np.random.PCG64(entropy)).integers(self._offsets))
            order = Permutation(self.windows_per_epoch, (self.seed, epoch))
            self._epochs = {epoch: (offset, order)}
        return self._epochs[epoch]


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
    _check(tokens, batch_size, context_length)
    places = len(tokens) - context_length
    if generator is None:
        starts: list[int] = torch.randint(places, (batch_size,)).tolist()
    else:
        starts = generator.integers(places, size=batch_size).tolist()
    inputs, targets = _gather(_ids(tokens), starts, context_length)
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
    _check(tokens, batch_size, context_length)
    available = (len(tokens) - 1) // context_length
    wanted = min(available, batch_size * count)
    starts = [context_length * (i * available // wanted) for i in range(wanted)]
    ids = _ids(tokens)
    return [
        _gather(ids, starts[i : i + batch_size], context_length)
        for i in range(0, wanted, batch_size)
    ]


def sequential_batches(tokens: Tokens, batch_size: int, context_length: int) -> Iterator[Batch]:
    """Every id but the first as a target once, in order; the last window may be shorter.

    Raises:
        ValueError: fewer than two ids: there is nothing to predict.
    """
    ids = _ids(tokens)
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
    windows = np.empty((len(starts), context_length + 1), dtype=np.int64)
    for row, start in zip(windows, starts, strict=True):
        row[:] = ids[start : start + context_length + 1]
    both = torch.from_numpy(windows)
    return both[:, :-1].contiguous(), both[:, 1:].contiguous()


def _ids(tokens: Tokens) -> NDArray[Any] | Shards:
    return tokens.ids if isinstance(tokens, TokenFile) else tokens


def _check(tokens: Tokens, batch_size: int, context_length: int) -> None:
    if batch_size < 1 or context_length < 1:
        raise ValueError(
            f"batch_size {batch_size} and context_length {context_length}: must be at least 1"
        )
    if _ids(tokens).ndim != 1:
        raise ValueError(f"tokens have shape {_ids(tokens).shape}: must be one row of ids")
    if len(tokens) <= context_length:
        name = str(tokens.path) if isinstance(tokens, TokenFile) else "the token array"
        raise ValueError(
            f"{name} has {len(tokens):,} ids: one window takes {context_length + 1:,} "
            f"(context_length {context_length:,} and the id after it)"
        )
