"""Texts whose beginning is given, and whose rest is to be predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byteloom.data.corrupted import CorruptedBatches
from byteloom.data.order import IGNORED
from byteloom.data.windows import Tokens, Windows, windows_of


def prefix_lengths(context: int, shortest: float = 0.0, longest: float = 1.0) -> range:
    """The lengths that a prefix may have, each as likely: those within two parts of the text.

    At least one token is given, and what follows the last token of the text is predicted always.

    Args:
        context: tokens that a model sees.
        shortest: part of them that is given at least.
        longest: part of them that is given at most.

    Raises:
        ValueError: parts that are none, or between which there is no length.

    Example:
        >>> prefix_lengths(8), prefix_lengths(8, 0.25, 0.5)
        (range(1, 9), range(2, 5))
    """
    if not 0 <= shortest <= longest <= 1:
        raise ValueError(
            f"shortest is {shortest} and longest {longest}: parts of a text, from 0 to 1, the "
            "first not above the second"
        )
    found = range(max(1, math.ceil(shortest * context)), math.floor(longest * context) + 1)
    if not found:
        raise ValueError(
            f"between {shortest} and {longest} of {context} tokens is no length that a prefix "
            "could have: set shortest and longest further apart"
        )
    return found


class PrefixBatches(CorruptedBatches[Windows]):
    """Batches for prefix language models (arXiv:1910.10683): (inputs, prefixes, targets).

    Inputs and targets are (batch, context), prefixes, how many of a text's tokens are given,
    (batch,). Targets are the tokens after each, but ``IGNORED`` where those are given, too, and
    where the window before the last of a row has them already.

    Args:
        tokens: ids, mapped or in memory; or several of those, to be mixed.
        batch_size: texts in a batch.
        context_length: ids in a text.
        seed: of the order and the lengths.
        shortest: see :func:`prefix_lengths`.
        longest: see there.
        weights: how much is drawn from each of several; ``None``: as they have windows.

    Raises:
        ValueError: what :func:`prefix_lengths` and :class:`Windows` refuse.

    Example:
        >>> batches = PrefixBatches(np.arange(200, dtype=np.uint16), 2, 6, seed=0)
        >>> inputs, prefixes, targets = batches.batch_at(5)
        >>> inputs[0].tolist(), int(prefixes[0]), targets[0].tolist()
        ([186, 187, 188, 189, 190, 191], 3, [-100, -100, 189, 190, 191, 192])
    """

    def __init__(
        self,
        tokens: Tokens | Sequence[Tokens],
        batch_size: int,
        context_length: int,
        seed: int,
        shortest: float = 0.0,
        longest: float = 1.0,
        weights: Sequence[float] | None = None,
    ) -> None:
        self.lengths = prefix_lengths(context_length, shortest, longest)
        sources = windows_of(tokens, context_length, seed)
        super().__init__(sources, batch_size, context_length, seed, weights)

    def example(
        self, source: Windows, start: int, chance: np.random.Generator
    ) -> tuple[NDArray[Any], ...]:
        """One text."""
        text = source.read(start).astype(np.int64)
        prefix = chance.integers(self.lengths.start, self.lengths.stop)
        targets = text[1:].copy()
        # The first window keeps its neighbour's: without, a long prefix would leave it none.
        another = start - int(source.within(np.array(start)))
        targets[: max(prefix - 1, another)] = IGNORED
        return text[:-1], np.array(prefix, dtype=np.int64), targets
