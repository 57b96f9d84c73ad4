"""The weights that layers begin with by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn


@dataclass(frozen=True)
class CourseInitConfig:
    """Variance 2 / (d_in + d_out) for maps, 1 for embeddings, cut at 3 standard deviations.

    Glorot & Bengio 2010, as the CS336 course has it. Tied embeddings begin with 0.02.
    """

    kind: Literal["course"] = "course"
    """Selects this member."""

    def start(self, model: nn.Module, d_model: int, num_layers: float) -> None:
        """The layers have done it."""

    def logit_factor(self, d_model: int) -> float:
        """What logits are multiplied by."""
        return 1

    def lr_scales(self, d_model: int) -> dict[str, float]:
        """All learning rates are as said."""
        return {}
