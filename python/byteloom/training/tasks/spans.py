"""T5's task: spans that were cut out of a text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, takewhile
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor

from byteloom.data.span_corruption import Lengths, SpanBatches
from byteloom.models import EncoderDecoder, EncoderDecoderConfig
from byteloom.nn.loss import Sums
from byteloom.training.tasks.base import Reading, Specials


@dataclass(frozen=True)
class SpansConfig:
    """Spans are cut out, and a sentinel stands for each (arXiv:1910.10683)."""

    learner: ClassVar[type] = EncoderDecoderConfig
    """What can learn it."""
    needs_tokenizer: ClassVar[bool] = True
    """Whether it uses special tokens."""

    kind: Literal["spans"] = "spans"
    """Selects this member."""
    density: float = 0.15
    """Part of the tokens that is cut out."""
    mean_span: float = 3.0
    """Tokens in a span, on average."""
    sentinels: str | tuple[str, ...] = "<extra_id_{}>"
    """The special tokens that stand for spans, in order: a list, or a name with {} for 0, 1 ..."""
    end: str | None = None
    """The special token that ends inputs and targets; none: what ends a document."""
    start: str | None = None
    """The one that the decoder begins with; none: the same as the end."""

    def __post_init__(self) -> None:
        Lengths.filling(3, self.density, self.mean_span)
        if isinstance(self.sentinels, str) and "{}" not in self.sentinels:
            raise ValueError(
                f"sentinels is {self.sentinels!r}: a list, or a name with {{}} where the number is"
            )

    def check(self, model: EncoderDecoderConfig, specials: Specials) -> None:
        """Makes sure that all special tokens are there, and that targets can be written.

        Raises:
            ValueError: what is missing.
        """
        self.end_id(specials)
        start = self.start_id(specials)
        if self.start is not None and model.start_id not in (None, start):
            raise ValueError(
                f"model.start_id is {model.start_id}, but task.start {self.start!r} has the id "
                f"{start}: give one of them"
            )
        lengths = self.lengths(model)
        found = self.sentinel_ids(specials)
        if len(found) < lengths.spans:
            raise ValueError(
                f"task.sentinels: model.context_length {model.context_length:,} has "
                f"{lengths.spans} spans, but the tokenizer {specials.path} has only {len(found)} "
                f"sentinels ({self.sentinels!r}): train it with more, or shorten the context"
            )
        if lengths.targets > model.decoder_length:
            raise ValueError(
                f"model.target_length is {model.decoder_length:,}, but what is cut out makes "
                f"targets of {lengths.targets:,} ids"
            )

    def lengths(self, model: EncoderDecoderConfig) -> Lengths:
        """How many ids there are of everything that a text becomes."""
        return Lengths.filling(model.context_length, self.density, self.mean_span)

    def end_id(self, specials: Specials) -> int:
        """The id that ends inputs and targets.

        Raises:
            ValueError: there is none.
        """
        return specials.end("task.end") if self.end is None else specials.id("task.end", self.end)

    def start_id(self, specials: Specials) -> int:
        """The id that the decoder begins with.

        Raises:
            ValueError: there is none.
        """
        if self.start is None:
            return self.end_id(specials)
        return specials.id("task.start", self.start)

    def sentinel_ids(self, specials: Specials) -> list[int]:
        """The ids that stand for spans.

        Raises:
            ValueError: one of a list is missing.
        """
        if not isinstance(self.sentinels, str):
            return [specials.id("task.sentinels", name) for name in self.sentinels]
        names = (self.sentinels.replace("{}", str(i)) for i in count())
        return [specials.ids[name] for name in takewhile(specials.ids.__contains__, names)]

    def question(self, specials: Specials, prompt: str) -> list[int]:
        """A text that the model is to answer, ended as those that it learned from."""
        return [*specials.tokenizer.encode(prompt), self.end_id(specials)]

    def batches(
        self, model: EncoderDecoderConfig, specials: Specials, reading: Reading
    ) -> SpanBatches:
        """Makes batches of token files.

        Raises:
            ValueError: special tokens that are missing, files that are too short.
        """
        return SpanBatches(
            reading.files,
            reading.batch_size,
            model.context_length,
            reading.seed,
            self.sentinel_ids(specials),
            self.end_id(specials),
            self.density,
            self.mean_span,
            reading.weights,
        )

    def objective(
        self,
        model: EncoderDecoder,
        specials: Specials,
        z_loss: float = 0.0,
        compiled: bool = False,
    ) -> SpansObjective:
        """Makes the loss."""
        return SpansObjective(model, z_loss, compiled)


class SpansObjective:
    """The loss of an encoder-decoder on what it is to write.

    Args:
        model: the weights.
        z_loss: see :func:`byteloom.nn.loss.linear_cross_entropy`.
        compiled: whether torch.compile makes it faster.
    """

    def __init__(self, model: EncoderDecoder, z_loss: float = 0.0, compiled: bool = False) -> None:
        self.model, self.z_loss, self.compiled = model, z_loss, compiled
        self.hidden = cast(
            Callable[..., Tensor], torch.compile(model.hidden) if compiled else model.hidden
        )

    def __call__(self, inputs: Tensor, targets: Tensor) -> Sums:
        """Sums over the targets."""
        hidden = self.hidden(inputs, self.model.shifted(targets))
        return self.model.lm_head.loss(hidden, targets, self.z_loss, compiled=self.compiled)
