"""The gated feed-forward network with a sigmoid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from byteloom.nn.ffn.gated import GatedConfig


@dataclass(frozen=True)
class GLUConfig(GatedConfig):
    """Gated by a sigmoid (Dauphin et al. 2016, arXiv:1612.08083)."""

    kind: Literal["glu"] = "glu"
    """Selects this member."""

    def activation(self) -> Callable[[Tensor], Tensor]:
        """The sigmoid."""
        return torch.sigmoid
