"""The feed-forward network with the square of ReLU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from byteloom.nn.ffn.plain import PlainConfig


@dataclass(frozen=True)
class ReLUSquaredConfig(PlainConfig):
    """max(x, 0)^2 between two maps (So et al. 2021, Primer, arXiv:2109.08668)."""

    kind: Literal["relu_squared"] = "relu_squared"
    """Selects this member."""

    def activation(self) -> Callable[[Tensor], Tensor]:
        """The square of ReLU."""
        return relu_squared


def relu_squared(x: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """max(x, 0)^2."""
    return F.relu(x).square()
