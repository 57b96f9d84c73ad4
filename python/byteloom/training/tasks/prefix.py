"""A decoder's other task: to go on with a text whose beginning it sees in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Int
from torch import Tensor

from byteloom.data.prefixes import PrefixBatches, prefix_lengths
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import LinearConfig
from byteloom.nn.attention import prefix_mask
from byteloom.nn.loss import Sums
from byteloom.training.objective import Objective, document_numbers
from byteloom.training.tasks.base import Reading, Specials


@dataclass(frozen=True)
class PrefixConfig:
    """The rest of a text, of which a prefix sees itself (arXiv:1910.10683, section 3.2.3).

    UL2's S-denoiser is the same (arXiv:2205.05131).
    """

    learner: ClassVar[type] = ModelConfig
    """What can learn it."""
    needs_tokenizer: ClassVar[bool] = False
    """Whether it uses special tokens."""

    kind: Literal["prefix"] = "prefix"
    """Selects this member."""
    shortest: float = 0.0
    """Part of a text that the prefix is at least; it has one token in any case."""
    longest: float = 1.0
    """Part of a text that it is at most."""

    def __post_init__(self) -> None:
        # Of a text long enough, there is always a length.
        prefix_lengths(1_000_000_000, self.shortest, self.longest)

    def require(self, model: ModelConfig) -> None:
        """Makes sure that the model can see a prefix in both directions, and then go on.

        Raises:
            ValueError: why it cannot.
        """
        if isinstance(model.attention, LinearConfig):
            raise ValueError(
                "task.kind prefix is nothing for model.attention.kind linear: it adds tokens up in "
                "their order, and the sums that it keeps cannot tell what a prefix may see: choose "
                "multi_head or sparse"
            )
        try:
            prefix_lengths(model.context_length, self.shortest, self.longest)
        except ValueError as error:
            raise ValueError(f"task: {error}, or make model.context_length larger") from None

    def check(self, model: ModelConfig, specials: Specials | None) -> None:
        """There is nothing to be missing."""

    def batches(
        self, model: ModelConfig, specials: Specials | None, reading: Reading
    ) -> PrefixBatches:
        """Makes batches of token files.

        Raises:
            ValueError: files that are too short.
        """
        return PrefixBatches(
            reading.files,
            reading.batch_size,
            model.context_length,
            reading.seed,
            self.shortest,
            self.longest,
            reading.weights,
        )


class PrefixObjective(Objective):
    """The loss of a decoder on what comes after a prefix; otherwise as :class:`Objective`.

    Example:
        >>> config = ModelConfig(vocab_size=10, context_length=8, d_model=16, num_heads=2)
        >>> import numpy as np
        >>> batches = PrefixBatches(np.arange(9, dtype=np.uint16), 2, 8, seed=0)
        >>> sums = PrefixObjective(config.build(seed=0))(*batches.batch_at(0))
        >>> int(sums.tokens) == int((batches.batch_at(0)[-1] >= 0).sum())
        True
    """

    model: TransformerLM

    def __call__(  # type: ignore[override]
        self, inputs: Int[Tensor, "batch seq"], prefixes: Int[Tensor, " batch"], targets: Tensor
    ) -> Sums:
        """Sums over the targets.

        Args:
            inputs: the texts.
            prefixes: how many tokens of each see each other in both directions.
            targets: the tokens after each, or ``IGNORED``.
        """
        documents = None if self.separator is None else document_numbers(inputs, self.separator)
        mask = prefix_mask(prefixes, inputs.shape[1])
        hidden = self.hidden(inputs, documents=documents, mask=mask)
        return self.model.lm_head.loss(hidden, targets, self.z_loss, compiled=self.compiled)
