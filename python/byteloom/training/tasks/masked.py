"""BERT's task: tokens that were hidden, and whether a segment follows another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from byteloom.data.masking import Frame, MaskedBatches, Masker, word_starts
from byteloom.data.pairs import Pairs, Singles
from byteloom.models import Encoder, EncoderConfig
from byteloom.nn.loss import IGNORED, Sums
from byteloom.training.tasks.base import Reading, Specials


@dataclass(frozen=True)
class MaskedConfig:
    """Hidden tokens, and, where model.next_sentence says so, pairs of segments (arXiv:1810.04805).

    Without pairs, texts are windows of the token files, as in RoBERTa (arXiv:1907.11692).
    """

    learner: ClassVar[type] = EncoderConfig
    """What can learn it."""
    needs_tokenizer: ClassVar[bool] = True
    """Whether it uses special tokens."""

    kind: Literal["masked"] = "masked"
    """Selects this member."""
    rate: float = 0.15
    """Part of the tokens that is to be predicted."""
    hidden: float = 0.8
    """Part of those that becomes the mask."""
    random: float = 0.1
    """Part of those that becomes any other token; what is left stays what it is."""
    whole_words: bool = False
    """Whether the tokens of a pretoken are chosen together."""
    mask: str = "[MASK]"
    """The special token that hides another."""
    cls: str = "[CLS]"
    """The one that begins a text."""
    sep: str = "[SEP]"
    """The one that ends a segment."""
    pad: str = "[PAD]"
    """The one that fills up."""

    def __post_init__(self) -> None:
        Masker(1, [], 0, self.rate, self.hidden, self.random)

    def check(self, model: EncoderConfig, specials: Specials) -> None:
        """Makes sure that all special tokens are there, and that texts have room for them.

        Raises:
            ValueError: what is missing.
        """
        self._frame(specials)
        specials.id("task.mask", self.mask)
        if model.next_sentence:
            specials.end()
        least = 6 if model.next_sentence else 3
        if model.context_length < least:
            raise ValueError(
                f"model.context_length is {model.context_length}: with what frames a text, it must "
                f"be at least {least}"
            )

    def predicted(self, model: EncoderConfig) -> int:
        """Tokens of a text that are to be predicted, if none of it is padding."""
        # [CLS] and one [SEP], or two of them.
        ordinary = model.context_length - (3 if model.next_sentence else 2)
        return max(1, round(self.rate * ordinary))

    def batches(self, model: EncoderConfig, specials: Specials, reading: Reading) -> MaskedBatches:
        """Makes batches of token files.

        Raises:
            ValueError: special tokens that are missing, files that are too short.
        """
        length, sources = model.context_length, list[Singles | Pairs]()
        for i, file in enumerate(reading.files):
            if model.next_sentence:
                sources.append(Pairs(file, length - 3, reading.seed, specials.end(), i))
            else:
                sources.append(Singles(file, length - 2, reading.seed, i))
        masker = Masker(
            # A model from elsewhere may have ids without tokens.
            min(model.vocab_size, specials.tokenizer.vocab_size),
            list(specials.ids.values()),
            specials.id("task.mask", self.mask),
            self.rate,
            self.hidden,
            self.random,
            word_starts(specials.tokenizer) if self.whole_words else None,
        )
        return MaskedBatches(
            sources,
            reading.batch_size,
            length,
            reading.seed,
            masker,
            self._frame(specials),
            reading.weights,
        )

    def objective(
        self, model: Encoder, specials: Specials, z_loss: float = 0.0, compiled: bool = False
    ) -> MaskedObjective:
        """Makes the loss."""
        return MaskedObjective(model, self._frame(specials).pad, z_loss, compiled)

    def question(self, specials: Specials, prompt: str) -> list[int]:
        """A text in which the model is to find what is hidden, framed as a single segment.

        Raises:
            ValueError: nothing is hidden.
        """
        ids, frame = specials.tokenizer.encode(prompt), self._frame(specials)
        if specials.id("task.mask", self.mask) not in ids:
            raise ValueError(
                "the model is an encoder, which finds hidden tokens and writes no text: give a "
                f"prompt with {self.mask} where a token is to be found"
            )
        return [frame.cls, *ids, frame.sep]

    def _frame(self, specials: Specials) -> Frame:
        return Frame(
            *(specials.id(f"task.{key}", getattr(self, key)) for key in Frame.__match_args__)
        )


class MaskedObjective:
    """The loss of an encoder: mean over hidden tokens, plus mean over pairs (arXiv:1810.04805).

    Args:
        model: the weights.
        pad: the id that fills up.
        z_loss: see :func:`byteloom.nn.loss.linear_cross_entropy`.
        compiled: whether torch.compile makes the blocks faster.
    """

    def __init__(
        self, model: Encoder, pad: int, z_loss: float = 0.0, compiled: bool = False
    ) -> None:
        self.model, self.pad, self.z_loss = model, pad, z_loss
        self.hidden = cast(
            Callable[..., Tensor], torch.compile(model.hidden) if compiled else model.hidden
        )

    def __call__(self, ids: Tensor, types: Tensor, labels: Tensor, targets: Tensor) -> Sums:
        """Sums over the hidden tokens; each bears its share of the loss of the pairs."""
        head = self.model.next_sentence
        # Without pairs, there is no padding.
        real = None if head is None else ids != self.pad
        has_types = self.model.token_types is not None
        hidden = self.hidden(ids, types if has_types else None, real)
        chosen = targets != IGNORED
        # The others' logits, most of them, are never made.
        sums = self.model.lm_head.loss(hidden[chosen], targets[chosen], self.z_loss)
        if head is None:
            return sums
        pairs = F.cross_entropy(head(hidden[:, 0]).float(), labels) * sums.tokens
        return Sums(sums.objective + pairs, sums.nats + pairs.detach(), sums.tokens)
