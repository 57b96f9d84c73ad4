"""What a layer keeps of the tokens that it has read: what its kinds share."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Int
from torch import Tensor


class LayerState(ABC):
    """Grows, or does not, with the tokens that are read; memory is taken at the first use.

    Args:
        max_length: tokens that can be read.
    """

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self.length = 0

    def next_positions(self, seq: int, device: torch.device) -> Int[Tensor, " seq"] | None:
        """Where the next ``seq`` tokens stand; of the first ones ``None``, which is 0, 1, 2 ..."""
        if self.length == 0:
            return None
        return torch.arange(self.length, self.length + seq, device=device)

    def read(self, seq: int) -> int:
        """Counts tokens; returns how many they are now.

        Raises:
            ValueError: more than there is room for.
        """
        end = self.length + seq
        if end > self.max_length:
            raise ValueError(f"the cache holds {self.max_length} tokens; {end} are too many")
        self.length = end
        return end

    @abstractmethod
    def tensors(self) -> list[Tensor]:
        """What it holds; nothing before the first use. The first dimensions are the batch's."""

    @abstractmethod
    def static(self, place: Int[Tensor, " 1"]) -> StaticState:
        """The same in memory whose size never changes, for one token at a time.

        Args:
            place: where the next token goes, shared by all layers.
        """


class StaticState(LayerState):
    """One whose memory never changes its place or size, so that a step can be compiled once."""

    place: Tensor

    def next_positions(self, seq: int, device: torch.device) -> Int[Tensor, " seq"] | None:
        """The place of the next token."""
        return self.place

    def look_at(self, places: int) -> None:
        """Told so, it need not look beyond the first ``places`` of the text."""
        return

    @abstractmethod
    def take_over(self, filled: LayerState) -> None:
        """Begins anew with what another holds, in the same memory."""

    def static(self, place: Int[Tensor, " 1"]) -> StaticState:
        """It is so already."""
        return self
