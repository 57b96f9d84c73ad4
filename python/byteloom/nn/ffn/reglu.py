"""The gated feed-forward network with ReLU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from byteloom.nn.ffn.gated import GatedConfig


@dataclass(frozen=True)
class ReGLUConfig(GatedConfig):
    """Gated by max(x, 0) (Shazeer 2020, arXiv:2002.05202)."""

    kind: Literal["reglu"] = "reglu"
    """Selects this member."""

    def activation(self) -> Callable[[Tensor], Tensor]:
        """ReLU."""
        return F.relu
