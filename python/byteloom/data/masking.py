"""Tokens hidden in a text, for a model to find them: BERT's way of learning."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from byteloom._rust import pretokenize
from byteloom.data.corrupted import CorruptedBatches
from byteloom.data.order import IGNORED
from byteloom.data.pairs import Pairs, Singles
from byteloom.tokenizer import Tokenizer

#: Ids, (seq,) -> whether a word begins at each.
WordStarts: TypeAlias = Callable[[NDArray[Any]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Frame:
    """The ids around segments: [CLS] first [SEP] second [SEP] [PAD] ..."""

    cls: int
    """Stands first: what is said of the whole text is read from its vector."""
    sep: int
    """Ends a segment."""
    pad: int
    """Fills up."""


class Masker:
    """Chooses tokens that are to be predicted, and hides most of them (arXiv:1810.04805).

    Of what may be chosen, ``rate``, to the nearest whole number and at least one. Of those, each by
    itself, ``hidden`` become ``mask`` and ``random`` any token that is not special, and the others
    stay what they are, so that no token can be trusted.

    Args:
        vocab_size: number of ids.
        special: ids that are never chosen, and never put in a token's place.
        mask: what hides a token.
        rate: part of the tokens that is chosen.
        hidden: part of the chosen that becomes ``mask``.
        random: part of the chosen that becomes another token.
        words: where words begin, if they are to be chosen as a whole: in an order of chance, but
            for those that are longer than what is still to be chosen. There is one in any case.

    Raises:
        ValueError: a part that is none; nothing but special tokens.

    Example:
        >>> masker = Masker(100, special=[0, 1], mask=1, rate=0.5)
        >>> hidden, targets = masker(np.array([0, 50, 51, 52, 53, 0]), np.random.default_rng(0))
        >>> hidden.tolist(), targets.tolist()
        ([0, 1, 51, 1, 53, 0], [-100, 50, -100, 52, -100, -100])
    """

    def __init__(
        self,
        vocab_size: int,
        special: Collection[int],
        mask: int,
        rate: float = 0.15,
        hidden: float = 0.8,
        random: float = 0.1,
        words: WordStarts | None = None,
    ) -> None:
        if not 0 < rate <= 1:
            raise ValueError(f"rate is {rate}; it must be above 0, and at most 1")
        if not (hidden >= 0 and random >= 0 and hidden + random <= 1):
            raise ValueError(
                f"hidden is {hidden} and random {random}: parts of what is chosen, that add up to "
                "1 at most"
            )
        self.is_special = np.zeros(vocab_size, dtype=bool)
        self.is_special[list(special)] = True
        self.ordinary = np.flatnonzero(~self.is_special)
        if not len(self.ordinary):
            raise ValueError(f"all {vocab_size} tokens are special: none can be hidden")
        self.mask, self.rate, self.hidden, self.random = mask, rate, hidden, random
        self.words = words

    def __call__(
        self,
        ids: NDArray[np.int64],
        chance: np.random.Generator,
        starts: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Hides some of the ids.

        Args:
            ids: shape (seq,).
            chance: where the choice comes from.
            starts: where words begin, if that is known already; else :attr:`words` is asked.

        Returns:
            What is left, and the targets: the chosen ids at their places, elsewhere ``IGNORED``.
        """
        if starts is None and self.words is not None:
            starts = self.words(ids)
        chosen = self.choose(ids, chance, starts)
        targets = np.full(len(ids), IGNORED, dtype=np.int64)
        targets[chosen] = ids[chosen]
        fate = chance.random(len(chosen))
        others = chance.choice(self.ordinary, len(chosen))
        left = np.array(ids, dtype=np.int64)
        left[chosen] = np.where(
            fate < self.hidden,
            self.mask,
            np.where(fate < self.hidden + self.random, others, left[chosen]),
        )
        return left, targets

    def choose(
        self, ids: NDArray[Any], chance: np.random.Generator, starts: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """The places of the tokens to predict."""
        places = np.flatnonzero(~self.is_special[ids])
        wanted = max(1, round(self.rate * len(places)))
        if starts is None:
            return chance.permutation(places)[:wanted]
        # A special token parts words, whatever the tokenizer says.
        begins = starts[places] | (np.diff(places, prepend=-2) > 1)
        words = np.split(places, np.flatnonzero(begins)[1:]) if len(places) else []
        order = chance.permutation(len(words)).tolist()
        chosen: list[NDArray[np.int64]] = []
        for number in order:
            if len(words[number]) <= wanted - sum(map(len, chosen)):
                chosen.append(words[number])
        if order and not chosen:  # all are too long
            chosen.append(words[order[0]])
        return np.concatenate([places[:0], *chosen])


def word_starts(tokenizer: Tokenizer) -> WordStarts:
    """Tells at which tokens pretokens begin: those that the tokenizer makes of the ids' text.

    Example:
        >>> tokenizer = Tokenizer({i: bytes([i]) for i in range(256)}, [])
        >>> word_starts(tokenizer)(np.array(tokenizer.encode("to be"))).astype(int).tolist()
        [1, 0, 1, 0, 0]
    """
    sizes = np.array([len(tokenizer.vocab[i]) for i in range(tokenizer.vocab_size)])
    pattern, special = tokenizer.pattern, list(tokenizer.special_tokens)

    def starts(ids: NDArray[Any]) -> NDArray[np.bool_]:
        pieces = pretokenize(tokenizer.decode_bytes(ids), pattern, special)
        of_pieces = np.cumsum([0, *map(len, pieces)])
        of_tokens = np.cumsum(sizes[ids]) - sizes[ids]
        found = np.isin(of_tokens, of_pieces)
        found[:1] = True
        return found

    return starts


class MaskedBatches(CorruptedBatches[Singles | Pairs]):
    """Batches for a masked language model: (ids, token types, labels, targets).

    Ids, token types (0 up to the first [SEP], then 1) and targets are (batch, context); labels, of
    :class:`Segments`, (batch,). Padding is of type 0.

    Args:
        sources: segments, of three ids less than the context in all, if there are two, or else of
            two less.
        batch_size: texts in a batch.
        context_length: ids in a text, all of :class:`Frame` included.
        seed: of the order and of what is hidden.
        masker: what hides.
        frame: what stands around the segments.
        weights: how much is drawn from each source; ``None``: as they have pieces.

    Example:
        >>> source = Singles(np.arange(10, 60), 6, seed=0)
        >>> masker = Masker(60, special=range(4), mask=3)
        >>> batches = MaskedBatches([source], 2, 8, 0, masker, Frame(cls=1, sep=2, pad=0))
        >>> ids, types, labels, targets = batches.batch_at(5)
        >>> ids.shape, types.shape, labels.tolist(), int((targets != IGNORED).sum())
        (torch.Size([2, 8]), torch.Size([2, 8]), [-100, -100], 2)
    """

    def __init__(
        self,
        sources: Sequence[Singles | Pairs],
        batch_size: int,
        context_length: int,
        seed: int,
        masker: Masker,
        frame: Frame,
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(sources, batch_size, context_length, seed, weights)
        self.masker, self.frame = masker, frame

    def example(
        self, source: Singles | Pairs, start: int, chance: np.random.Generator
    ) -> tuple[NDArray[np.int64], ...]:
        """One text."""
        first, second, label = source.segments(start, chance)
        frame, length = self.frame, self.context_length
        ids = np.full(length, frame.pad, dtype=np.int64)
        types, targets = np.zeros(length, np.int64), np.full(length, IGNORED, np.int64)
        parts: list[Any] = [[frame.cls], first, [frame.sep]]
        if label != IGNORED:
            parts += [second, [frame.sep]]
            types[len(first) + 2 : len(first) + len(second) + 3] = 1
        text = np.concatenate(parts).astype(np.int64)
        starts = None
        if self.masker.words is not None:
            # Words are those of the segments' own texts.
            frames = np.ones(1, dtype=bool)
            known = [frames, self.masker.words(first), frames, self.masker.words(second), frames]
            starts = np.concatenate(known)[: len(text)]
        ids[: len(text)], targets[: len(text)] = self.masker(text, chance, starts)
        return ids, types, np.array(label, dtype=np.int64), targets
