"""A learned bias on attention for each distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from byteloom.nn.position.base import Position


@dataclass(frozen=True)
class RelativeConfig:
    """A learned number for each head and bucket of distances, as in T5 (arXiv:1910.10683)."""

    kind: Literal["relative"] = "relative"
    """Selects this member."""
    num_buckets: int = 32
    """Buckets: half for a distance each, the others ever wider."""
    max_distance: int = 128
    """From here on all is one bucket."""
    bidirectional: bool = False
    """Whether keys behind the query have buckets of their own, half of all: for encoders."""

    def __post_init__(self) -> None:
        # One for each of some distances and one for the others, on each side.
        least = 4 if self.bidirectional else 2
        if self.num_buckets < least:
            raise ValueError(f"num_buckets is {self.num_buckets}; it must be {least} or more")
        if self.max_distance <= self.num_buckets // 2:
            raise ValueError(
                f"max_distance is {self.max_distance}; it must be above half of num_buckets, "
                f"{self.num_buckets // 2}"
            )

    def build(
        self, d_model: int, num_heads: int, context_length: int, d_head: int | None = None
    ) -> RelativeBias:
        """Makes the module."""
        return RelativeBias(num_heads, self.num_buckets, self.max_distance, self.bidirectional)


class RelativeBias(Position):
    """Adds ``weight[bucket of the distance]`` to the scores, in every layer the same.

    Args:
        num_heads: heads.
        num_buckets: rows of the table.
        max_distance: from here on all is one bucket.
        bidirectional: whether keys behind the query have buckets of their own.
    """

    is_table = True
    has_bias = True

    def __init__(
        self, num_heads: int, num_buckets: int, max_distance: int, bidirectional: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_buckets, num_heads))
        nn.init.normal_(self.weight, std=0.02)
        self.max_distance, self.bidirectional = max_distance, bidirectional

    def bias(
        self, queries: Int[Tensor, "*batch q"], keys: Int[Tensor, "*batch k"]
    ) -> Float[Tensor, "*batch heads q k"]:
        """Looks them up."""
        buckets = self.buckets(queries[..., :, None] - keys[..., None, :])
        return self.weight[buckets].movedim(-1, -3)

    def buckets(self, distances: Int[Tensor, ...]) -> Int[Tensor, ...]:
        """The bucket of each distance, which is above zero where the key is before the query."""
        count, first = len(self.weight), torch.zeros_like(distances)
        if self.bidirectional:
            count //= 2
            first = (distances < 0) * count
            distances = distances.abs()
        distances = distances.clamp_min(0)
        exact = count // 2
        # From `exact` to max_distance, the buckets' widths grow like the distances.
        growth = (distances.clamp_min(1).float() / exact).log()
        wide = exact + (growth / math.log(self.max_distance / exact) * (count - exact)).long()
        return first + torch.where(distances < exact, distances, wide.clamp_max(count - 1))
