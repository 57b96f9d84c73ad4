"""What linear attention keeps of a text: sums, which do not grow with it."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from byteloom.nn.attention.state import LayerState, StaticState


class LinearState(LayerState):
    """The sums of one layer.

    Args:
        max_length: tokens that can be read.
    """

    def __init__(self, max_length: int) -> None:
        super().__init__(max_length)
        self.sums: list[Tensor] = []
        """Nothing before the first use; each (*batch, heads, d_k, d_v)."""

    def replace(self, sums: list[Tensor]) -> None:
        """Keeps these from now on, without the memory that they may be a part of."""
        self.sums = [total.clone(memory_format=torch.contiguous_format) for total in sums]

    def tensors(self) -> list[Tensor]:
        """What it holds."""
        return self.sums

    def static(self, place: Int[Tensor, " 1"]) -> StaticState:
        """The same in memory that stays where it is."""
        return StaticLinearState(self, place)


class StaticLinearState(StaticState, LinearState):
    """Sums that are overwritten where they are.

    Args:
        filled: the one whose sums are taken over.
        place: where the next token stands in the text, shape (1,), shared by all layers.
    """

    def __init__(self, filled: LinearState, place: Int[Tensor, " 1"]) -> None:
        super().__init__(filled.max_length)
        self.sums = [total.clone() for total in filled.sums]
        self.place = place

    def read(self, seq: int) -> int:
        """Counts nothing: whoever uses this does."""
        return 0

    def replace(self, sums: list[Tensor]) -> None:
        """Keeps these from now on."""
        for mine, new in zip(self.sums, sums, strict=True):
            mine.copy_(new)

    def take_over(self, filled: LayerState) -> None:
        """Begins anew with the sums of another."""
        assert isinstance(filled, LinearState)
        self.replace(filled.sums)
