"""Long wavelengths squeezed, short ones kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from byteloom.nn.checks import require_positive
from byteloom.nn.position.scaling.base import Scaling


@dataclass(frozen=True)
class YaRNScaling(Scaling):
    """Angles between kept and divided, by how often they turn (Peng et al. 2023, 2309.00071)."""

    kind: Literal["yarn"] = "yarn"
    """Selects this member."""
    original_context: int = 4096
    """Tokens of a text in training."""
    beta_fast: float = 32.0
    """Pairs that turn more often in such a text are kept."""
    beta_slow: float = 1.0
    """Pairs that turn less often are divided by the factor."""
    attention_factor: float | None = None
    """Of cosines and sines; none: 0.1 ln(factor) + 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("original_context", self.original_context)
        if not self.beta_fast >= self.beta_slow > 0:
            raise ValueError(
                f"beta_fast is {self.beta_fast} and beta_slow {self.beta_slow}: pairs that turn "
                "fast turn more often, and beta_slow is above 0"
            )

    def acts_without_factor(self) -> bool:
        """By the factor of cosines and sines."""
        return self.attention_factor not in (None, 1.0)

    def scaled(
        self, angles: Float[Tensor, " pairs"], theta: float
    ) -> tuple[Float[Tensor, " pairs"], float]:
        """The formula."""
        pairs = len(angles)

        def pair_that_turns(times: float) -> float:
            return pairs * math.log(self.original_context / (2 * math.pi * times)) / math.log(theta)

        low = max(0, math.floor(pair_that_turns(self.beta_fast)))
        high = min(2 * pairs - 1, math.ceil(pair_that_turns(self.beta_slow)))
        width = high - low if high != low else 0.001
        divided = ((torch.arange(pairs, dtype=angles.dtype) - low) / width).clamp(0, 1)
        factor = self.attention_factor
        if factor is None:
            factor = 0.1 * math.log(self.factor) + 1 if self.factor > 1 else 1.0
        return angles * (divided / self.factor + 1 - divided), factor
