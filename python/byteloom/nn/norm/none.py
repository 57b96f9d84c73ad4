"""No normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn


@dataclass(frozen=True)
class NoNormConfig:
    """What comes in goes out: to see what normalisation is good for."""

    kind: Literal["none"] = "none"
    """Selects this member."""

    def build(self, d_model: int) -> nn.Module:
        """Makes the module."""
        return nn.Identity()
