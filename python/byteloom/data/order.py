"""Which pieces of which source each batch of a run is made of, as a pure function of the seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from byteloom.data.mixture import Mixture
from byteloom.data.shards import Shards
from byteloom.data.token_file import TokenIds

#: The target of a token that nobody has to predict: what :mod:`byteloom.nn.loss` leaves out.
IGNORED = -100


class Source(Protocol):
    """Pieces of one row of ids, numbered through the epochs."""

    ids: TokenIds | Shards
    """The row."""
    per_epoch: int
    """Pieces in an epoch."""

    def starts(self, first: int, count: int) -> list[int]:
        """Where the pieces number ``first`` to ``first + count - 1`` are.

        What that means is the source's own; so are numbers outside of the row.
        """

    def in_order(self) -> range:
        """Where the pieces are that follow each other in the row."""


S = TypeVar("S", bound=Source)


class Order(Generic[S]):
    """Gives each batch the next ``batch_size`` pieces; nothing is stored.

    With one source, numbers are the source's own. With several, :class:`Mixture` says which source
    a number belongs to, and each source has epochs of its own.

    Args:
        sources: what is drawn from.
        batch_size: pieces in a batch.
        context_length: ids of the text that a piece stands for, for counting.
        seed: of the mixture.
        weights: how much is drawn from each; ``None``: as they have pieces.

    Raises:
        ValueError: weights that :class:`Mixture` refuses, or not one for each source.
    """

    def __init__(
        self,
        sources: Sequence[S],
        batch_size: int,
        context_length: int,
        seed: int,
        weights: Sequence[float] | None = None,
    ) -> None:
        check_batch_size(batch_size)
        self.batch_size = batch_size
        self.context_length = context_length
        self.seed = seed
        #: The windows of each source.
        self.sources = list(sources)
        if weights is None:
            weights = [source.per_epoch for source in self.sources]
        if len(weights) != len(self.sources):
            raise ValueError(
                f"{len(weights)} weights for {len(self.sources)} sources: give one for each"
            )
        #: Which source a window comes from.
        self.mixture = Mixture(weights, seed)

    def windows_at(self, step: int) -> list[tuple[int, int]]:
        """The number of the source, and the start within it, of each window of a step."""
        sources, starts = self.drawn(step)
        return list(zip(sources.tolist(), starts.tolist(), strict=True))

    def drawn(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The same as two arrays."""
        sources, numbers = self.mixture.of(step * self.batch_size, self.batch_size)
        starts = np.empty(self.batch_size, dtype=np.int64)
        for number, source in enumerate(self.sources):
            # A source's numbers follow each other.
            if len(own := numbers[sources == number]):
                starts[sources == number] = source.starts(int(own[0]), len(own))
        return sources, starts

    def epoch_at(self, step: int) -> float:
        """How often as many windows as all sources have were drawn before this step.

        That is the ``epoch`` of the metrics; of one source, how often it has been gone through.
        """
        per_epoch = sum(source.per_epoch for source in self.sources)
        return step * self.batch_size / per_epoch

    def epochs_at(self, step: int) -> list[float]:
        """How often each source has been gone through before this step."""
        drawn = self.mixture.before(step * self.batch_size)
        return [n / source.per_epoch for n, source in zip(drawn, self.sources, strict=True)]


def check_batch_size(batch_size: int) -> None:
    """Refuses batches of nothing.

    Raises:
        ValueError: less than one.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size {batch_size}: must be at least 1")


def generator_of(*key: int) -> np.random.Generator:
    """Chance that is a pure function of some numbers, of any size.

    Example:
        >>> generator_of(7, 1).random() == generator_of(7, 1).random()
        True
    """
    entropy = np.random.SeedSequence([part % (1 << 64) for part in key])
    return np.random.Generator(np.random.PCG64(entropy))
