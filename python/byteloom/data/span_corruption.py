"""Spans cut out of a text, for a model to say what was there: T5's way of learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byteloom.data.corrupted import CorruptedBatches
from byteloom.data.windows import Tokens, Windows, windows_of


@dataclass(frozen=True)
class Lengths:
    """How many ids there are of everything: the same for every text."""

    tokens: int
    """Of the text."""
    noise: int
    """Of those, cut out."""
    spans: int
    """Spans they are in."""

    @property
    def inputs(self) -> int:
        """What is left, a sentinel for each span, and the end."""
        return self.tokens - self.noise + self.spans + 1

    @property
    def targets(self) -> int:
        """What was cut out, a sentinel before each span, and the end."""
        return self.noise + self.spans + 1

    @classmethod
    def of_text(cls, tokens: int, density: float, mean_span: float) -> Lengths:
        """Those of a text of so many ids, at least 2: some are cut out, and some are left."""
        noise = min(max(round(tokens * density), 1), tokens - 1)
        # Each span has at least one id, and so has what is before it.
        return cls(tokens, noise, min(max(round(noise / mean_span), 1), noise, tokens - noise))

    @classmethod
    def filling(cls, inputs: int, density: float = 0.15, mean_span: float = 3.0) -> Lengths:
        """Those of the longest text of which exactly so many ids go in.

        Args:
            inputs: ids that go in, with sentinels and the end.
            density: part of the text that is cut out.
            mean_span: ids in a span, on average.

        Raises:
            ValueError: fewer than 3 inputs; a density or a span that is none.

        Example:
            >>> Lengths.filling(512), Lengths.filling(512).targets
            (Lengths(tokens=568, noise=85, spans=28), 114)
        """
        if not 0 < density < 1:
            raise ValueError(f"density is {density}; it must be between 0 and 1")
        if not mean_span >= 1:
            raise ValueError(f"mean_span is {mean_span}; it must be at least 1")
        if inputs < 3:
            raise ValueError(f"{inputs} ids go in: an id, a sentinel and the end are the fewest")
        tokens = 2
        while cls.of_text(tokens + 1, density, mean_span).inputs <= inputs:
            tokens += 1
        found = cls.of_text(tokens, density, mean_span)
        if found.inputs < inputs:
            # One more id of text is two more that go in, where spans are as many as ids can part.
            found = cls.of_text(tokens + 1, density, mean_span)
            found = replace(found, spans=found.spans - 1)
        return found


def random_parts(total: int, parts: int, chance: np.random.Generator) -> NDArray[np.int64]:
    """Sizes of parts, each at least 1, that add up to the total: all ways are as likely.

    Example:
        >>> random_parts(3, 3, np.random.default_rng(0)).tolist()
        [1, 1, 1]
    """
    cuts = np.sort(chance.permutation(total - 1)[: parts - 1]) + 1
    return np.diff(cuts, prepend=0, append=total)


def corrupt(
    ids: NDArray[Any],
    kept: NDArray[np.int64],
    cut: NDArray[np.int64],
    sentinels: NDArray[np.int64],
    end: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cuts spans out.

    Args:
        ids: the text, shape (sum of ``kept`` and ``cut``,).
        kept: how many ids stay before each span, shape (spans,).
        cut: how many are in it, shape (spans,).
        sentinels: what stands for each span, at least so many.
        end: what ends inputs and targets.

    Returns:
        Inputs, what stays with a sentinel for each span; and targets, each sentinel with its span.

    Example:
        >>> inputs, targets = corrupt(
        ...     np.arange(10, 18), np.array([2, 1]), np.array([2, 3]), np.array([98, 97]), end=1
        ... )
        >>> inputs.tolist(), targets.tolist()
        ([10, 11, 98, 14, 97, 1], [98, 12, 13, 97, 15, 16, 17, 1])
    """
    spans = len(cut)
    is_cut = np.repeat(np.tile([False, True], spans), np.stack([kept, cut], axis=1).ravel())
    text = np.asarray(ids, dtype=np.int64)
    inputs = np.insert(text[~is_cut], np.cumsum(kept), sentinels[:spans])
    targets = np.insert(text[is_cut], np.cumsum(cut) - cut, sentinels[:spans])
    return np.append(inputs, end), np.append(targets, end)


class SpanBatches(CorruptedBatches[Windows]):
    """Batches for span corruption (Raffel et al. 2019, arXiv:1910.10683): (inputs, targets).

    Inputs are (batch, context), targets (batch, :attr:`Lengths.targets`): never any padding. A text
    begins with what stays and ends with a span, as in T5. ``context_length`` of the result counts
    the ids of the text, which are more than those that go in.

    Args:
        tokens: ids, mapped or in memory; or several of those, to be mixed.
        batch_size: texts in a batch.
        context_length: ids that go in, sentinels and the end included.
        seed: of the order and the spans.
        sentinels: ids that stand for the spans, in this order.
        end: id that ends inputs and targets.
        density: part of a text that is cut out.
        mean_span: ids in a span, on average.
        weights: how much is drawn from each of several; ``None``: as they have windows.

    Raises:
        ValueError: too few sentinels; what :class:`Lengths` and :class:`Windows` refuse.

    Example:
        >>> batches = SpanBatches(np.arange(200, dtype=np.uint16), 2, 32, 0, range(300, 310), 299)
        >>> inputs, targets = batches.batch_at(3)
        >>> inputs.shape, targets.shape, batches.context_length
        (torch.Size([2, 32]), torch.Size([2, 8]), 34)
    """

    def __init__(
        self,
        tokens: Tokens | Sequence[Tokens],
        batch_size: int,
        context_length: int,
        seed: int,
        sentinels: Sequence[int],
        end: int,
        density: float = 0.15,
        mean_span: float = 3.0,
        weights: Sequence[float] | None = None,
    ) -> None:
        #: Of every text.
        self.lengths = lengths = Lengths.filling(context_length, density, mean_span)
        if lengths.spans > len(sentinels):
            raise ValueError(
                f"texts of {lengths.tokens:,} ids have {lengths.spans} spans, but there are only "
                f"{len(sentinels)} sentinels: give more special tokens, or a shorter context_length"
            )
        self.sentinels, self.end = np.array(sentinels, dtype=np.int64), end
        sources = windows_of(tokens, lengths.tokens, seed, following=0)
        super().__init__(sources, batch_size, lengths.tokens, seed, weights)

    def example(
        self, source: Windows, start: int, chance: np.random.Generator
    ) -> tuple[NDArray[np.int64], ...]:
        """One text."""
        lengths = self.lengths
        cut = random_parts(lengths.noise, lengths.spans, chance)
        kept = random_parts(lengths.tokens - lengths.noise, lengths.spans, chance)
        return corrupt(source.read(start), kept, cut, self.sentinels, self.end)
