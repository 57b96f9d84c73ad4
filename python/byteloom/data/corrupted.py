"""Batches of texts that chance has changed, each by a chance of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from byteloom.data.batches import AnyBatch
from byteloom.data.order import Order, S, generator_of

#: Sets the chance of texts apart from that of epochs and blocks.
_TRAINING, _EVALUATION = (1 << 62) + 1, (1 << 62) + 2


class CorruptedBatches(Order[S], ABC):
    """Batches whose texts a member changes: any step's batch, from (seed, step) alone.

    A text's chance depends on the seed and the number it has in the run: so another batch size
    draws the same texts, changed in the same way, and each epoch changes them in another one.

    Args:
        sources: pieces of text.
        batch_size: texts in a batch.
        context_length: ids of text that one stands for, for counting.
        seed: of the order and the changes.
        weights: how much is drawn from each source; ``None``: as they have pieces.
    """

    @abstractmethod
    def example(
        self, source: S, start: int, chance: np.random.Generator
    ) -> tuple[NDArray[np.int64], ...]:
        """A piece -> what the objective takes of it, the targets last; always of the same shape."""

    def batch_at(self, step: int) -> AnyBatch:
        """The batch of a step, counted from 0; int64, in main memory."""
        first = step * self.batch_size
        return _stack(
            self.example(self.sources[source], start, generator_of(self.seed, first + i, _TRAINING))
            for i, (source, start) in enumerate(self.windows_at(step))
        )

    def evenly(self, count: int | None = None) -> Iterator[AnyBatch]:
        """The same batches every time: pieces evenly spread over the first source, in order.

        Args:
            count: at most so many batches; ``None``: of all pieces.
        """
        source = self.sources[0]
        places = source.in_order()
        wanted = len(places) if count is None else min(len(places), count * self.batch_size)
        for first in range(0, wanted, self.batch_size):
            numbers = range(first, min(first + self.batch_size, wanted))
            chances = (generator_of(self.seed, number, _EVALUATION) for number in numbers)
            starts = (places[number * len(places) // wanted] for number in numbers)
            yield _stack(map(self.example, [source] * len(numbers), starts, chances))


def _stack(examples: Iterator[Any]) -> AnyBatch:
    return tuple(torch.from_numpy(np.stack(part)) for part in zip(*examples, strict=True))
