"""The feed-forward network with GELU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from byteloom.nn.ffn.plain import PlainConfig

Approximation: TypeAlias = Literal["none", "tanh"]


@dataclass(frozen=True)
class GELUConfig(PlainConfig):
    """x times the normal distribution's function (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""

    kind: Literal["gelu"] = "gelu"
    """Selects this member."""
    approximate: Approximation = "none"
    """How the distribution is computed: exactly, as in BERT, or by a tanh, as in GPT-2."""

    def activation(self) -> Callable[[Tensor], Tensor]:
        """GELU."""
        return gelu(self.approximate)


def gelu(approximate: Approximation) -> Callable[[Tensor], Tensor]:
    """The function, exact or by a tanh."""
    return partial(F.gelu, approximate=approximate)
