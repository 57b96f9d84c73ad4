"""The gated feed-forward network with GELU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from byteloom.nn.ffn.gated import GatedConfig
from byteloom.nn.ffn.gelu import Approximation, gelu


@dataclass(frozen=True)
class GeGLUConfig(GatedConfig):
    """Gated by GELU (Shazeer 2020, arXiv:2002.05202), as in T5 1.1 and Gemma."""

    kind: Literal["geglu"] = "geglu"
    """Selects this member."""
    approximate: Approximation = "none"
    """How the normal distribution is computed: exactly, or by a tanh, as in Gemma."""

    def activation(self) -> Callable[[Tensor], Tensor]:
        """GELU."""
        return gelu(self.approximate)
