"""What ways to scale rotary positions share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from byteloom.nn.checks import require_positive


@dataclass(frozen=True)
class Scaling(ABC):
    """A longer context."""

    kind: str = ""
    """Selects the member."""
    factor: float = 1.0
    """How many times longer the context is than that of training."""

    def __post_init__(self) -> None:
        require_positive("factor", self.factor)
        if self.factor == 1 and not self.acts_without_factor():
            raise ValueError("factor is 1, which scales nothing: give another, or no scaling")

    def acts_without_factor(self) -> bool:
        """Whether anything changes though the factor is 1."""
        return False

    @abstractmethod
    def scaled(
        self, angles: Float[Tensor, " pairs"], theta: float
    ) -> tuple[Float[Tensor, " pairs"], float]:
        """The angles by which pairs turn in a step, and a factor of cosines and sines.

        Args:
            angles: those without scaling, theta^(-i / pairs), in double precision.
            theta: base of the wavelengths.
        """
