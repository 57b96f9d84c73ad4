"""Long wavelengths squeezed, short ones kept, as in Llama 3.1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from byteloom.nn.checks import require_positive
from byteloom.nn.position.scaling.base import Scaling


@dataclass(frozen=True)
class Llama3Scaling(Scaling):
    """Angles between kept and divided, by their wavelengths (Llama 3, arXiv:2407.21783)."""

    kind: Literal["llama3"] = "llama3"
    """Selects this member."""
    original_context: int = 8192
    """Tokens of a text in training."""
    low_freq_factor: float = 1.0
    """Pairs that turn less often in such a text are divided by the factor."""
    high_freq_factor: float = 4.0
    """Pairs that turn more often are kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("original_context", self.original_context)
        if not self.high_freq_factor > self.low_freq_factor:
            raise ValueError(
                f"high_freq_factor is {self.high_freq_factor}, low_freq_factor "
                f"{self.low_freq_factor}: the first must be above the second"
            )

    def scaled(
        self, angles: Float[Tensor, " pairs"], theta: float
    ) -> tuple[Float[Tensor, " pairs"], float]:
        """The formula."""
        turns = self.original_context * angles / (2 * math.pi)
        width = self.high_freq_factor - self.low_freq_factor
        kept = ((turns - self.low_freq_factor) / width).clamp(0, 1)
        return angles * (kept + (1 - kept) / self.factor), 1.0
