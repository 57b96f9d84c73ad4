"""The feed-forward network without a gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from byteloom.nn.linear import Linear


@dataclass(frozen=True)
class SiLUFeedForwardConfig:
    """Feed-forward network with SiLU and no gate: the course's comparison with SwiGLU."""

    kind: Literal["silu"] = "silu"
    """Selects this member."""
    d_ff: int | None = None
    """Inner size; none: 4 d_model, which has as many parameters as SwiGLU's 8/3."""

    def build(self, d_model: int) -> SiLUFeedForward:
        """Makes the module."""
        return SiLUFeedForward(d_model, 4 * d_model if self.d_ff is None else self.d_ff)


class SiLUFeedForward(nn.Module):
    """w2(silu(w1 x)).

    Args:
        d_model: size of the last dimension, in and out.
        d_ff: inner size.

    Example:
        >>> import torch
        >>> SiLUFeedForward(8, 32)(torch.zeros(2, 8)).shape
        torch.Size([2, 8])
    """

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.w1 = Linear(d_model, d_ff)
        self.w2 = Linear(d_ff, d_model)

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Each token on its own."""
        down: Tensor = self.w2(F.silu(self.w1(x)))
        return down
