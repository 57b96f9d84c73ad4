"""Another base of the wavelengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from byteloom.nn.position.scaling.base import Scaling


@dataclass(frozen=True)
class NTKScaling(Scaling):
    """The longest wavelength grows by the factor, the shortest stays (bloc97 2023, NTK-aware)."""

    kind: Literal["ntk"] = "ntk"
    """Selects this member."""

    def scaled(
        self, angles: Float[Tensor, " pairs"], theta: float
    ) -> tuple[Float[Tensor, " pairs"], float]:
        """The formula: theta grows by factor^(d / (d - 2))."""
        pairs = len(angles)
        slower = self.factor ** (pairs / max(1, pairs - 1))
        return angles * slower ** -(torch.arange(pairs, dtype=angles.dtype) / pairs), 1.0
