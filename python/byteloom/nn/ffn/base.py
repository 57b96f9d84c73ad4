"""What the configurations of all feed-forward networks have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from byteloom.nn.checks import require_positive_if_given

T = TypeVar("T", bound="FeedForwardBase")


@dataclass(frozen=True)
class FeedForwardBase(ABC):
    """Width, biases, activation."""

    kind: str = ""
    """Selects the member."""
    d_ff: int | None = None
    """Inner size; none: as many parameters as 8 d_model^2, the usual number, or `ratio`."""
    ratio: float | None = None
    """Inner size as a multiple of d_model; none: `d_ff`."""
    bias: bool = False
    """Whether every linear map adds a learned vector."""

    def __post_init__(self) -> None:
        require_positive_if_given(d_ff=self.d_ff, ratio=self.ratio)
        if self.d_ff is not None and self.ratio is not None:
            raise ValueError(f"d_ff is {self.d_ff} and ratio {self.ratio}: give one of them")

    def at(self: T, index: int) -> T:
        """What the layer has, the first of which is 0: all have the same."""
        return self

    @abstractmethod
    def activation(self) -> Callable[[Tensor], Tensor]:
        """What is done to each number behind the first map."""

    def width(self, d_model: int, default: int) -> int:
        """The inner size, which is ``default`` if nothing was said."""
        if self.ratio is not None:
            return max(1, round(self.ratio * d_model))
        return default if self.d_ff is None else self.d_ff
