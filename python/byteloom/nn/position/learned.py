"""A learned vector for each place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from byteloom.nn.position.base import Position


@dataclass(frozen=True)
class LearnedConfig:
    """A learned vector is added for each place, as in GPT-2 and BERT (arXiv:1810.04805)."""

    kind: Literal["learned"] = "learned"
    """Selects this member."""

    def build(
        self, d_model: int, num_heads: int, context_length: int, d_head: int | None = None
    ) -> LearnedPositions:
        """Makes the module."""
        return LearnedPositions(context_length, d_model)


class LearnedPositions(Position):
    """Adds ``weight[place]`` to each embedded token.

    Args:
        max_seq_len: places there are.
        d_model: size of a token's vector.

    Example:
        >>> LearnedPositions(8, 4).embed(torch.zeros(2, 3, 4), None).shape
        torch.Size([2, 3, 4])
    """

    #: Rows are vectors by number: the optimizer's groups treat it as embeddings.
    is_table = True

    def __init__(self, max_seq_len: int, d_model: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(max_seq_len, d_model))
        nn.init.normal_(self.weight, std=0.02)

    def embed(
        self, x: Float[Tensor, "*batch seq d_model"], positions: Int[Tensor, "*#batch seq"] | None
    ) -> Float[Tensor, "*batch seq d_model"]:
        """Adds them, once."""
        return x + (self.weight[: x.shape[-2]] if positions is None else self.weight[positions])
