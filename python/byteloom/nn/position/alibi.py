"""A penalty on attention that grows with the distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from byteloom.nn.position.base import Position


@dataclass(frozen=True)
class ALiBiConfig:
    """Scores fall with the distance, faster in some heads (Press et al. 2021, arXiv:2108.12409)."""

    kind: Literal["alibi"] = "alibi"
    """Selects this member."""

    def build(
        self, d_model: int, num_heads: int, context_length: int, d_head: int | None = None
    ) -> ALiBi:
        """Makes the module."""
        return ALiBi(num_heads)


class ALiBi(Position):
    """Adds -slope * |place of the query - place of the key| to the scores of a head.

    Args:
        num_heads: heads; the slopes are 2^(-8 i / num_heads) for a power of two, and for others
            those of the power below, with every other one of the power above.
    """

    slopes: Tensor
    has_bias = True

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        slopes = torch.tensor(slopes_of(num_heads), dtype=torch.float32)
        self.register_buffer("slopes", slopes, persistent=False)

    def bias(
        self, queries: Int[Tensor, "*batch q"], keys: Int[Tensor, "*batch k"]
    ) -> Float[Tensor, "*batch heads q k"]:
        """Below zero, or zero at the query's own place."""
        distances = queries[..., None, :, None] - keys[..., None, None, :]
        return -self.slopes[:, None, None] * distances.abs()


def slopes_of(num_heads: int) -> list[float]:
    """How steep each head's penalty is.

    Example:
        >>> slopes_of(4)
        [0.25, 0.0625, 0.015625, 0.00390625]
    """
    power = 2 ** math.floor(math.log2(num_heads))
    slopes = [2.0 ** (-8 * (i + 1) / power) for i in range(power)]
    return slopes + [2.0 ** (-4 * (i + 1) / power) for i in range(0, 2 * (num_heads - power), 2)]
