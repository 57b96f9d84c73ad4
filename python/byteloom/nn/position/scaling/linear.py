"""Positions squeezed into those of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from byteloom.nn.position.scaling.base import Scaling


@dataclass(frozen=True)
class LinearScaling(Scaling):
    """All angles divided by the factor (Chen et al. 2023, arXiv:2306.15595)."""

    kind: Literal["linear"] = "linear"
    """Selects this member."""

    def scaled(
        self, angles: Float[Tensor, " pairs"], theta: float
    ) -> tuple[Float[Tensor, " pairs"], float]:
        """The formula."""
        return angles / self.factor, 1.0
