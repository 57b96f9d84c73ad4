"""The gated feed-forward network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from byteloom.nn.linear import Linear


@dataclass(frozen=True)
class SwiGLUConfig:
    """Gated feed-forward network with SiLU (Shazeer 2020, arXiv:2002.05202)."""

    kind: Literal["swiglu"] = "swiglu"
    """Selects this member."""
    d_ff: int | None = None
    """Inner size; none: 8/3 d_model, to the nearest multiple of 64."""

    def build(self, d_model: int) -> SwiGLU:
        """Makes the module."""
        return SwiGLU(d_model, default_d_ff(d_model) if self.d_ff is None else self.d_ff)


def default_d_ff(d_model: int) -> int:
    """8/3 d_model, to the nearest multiple of 64, which suits matrix units: 1,344 for 512."""
    return max(64, round(8 * d_model / 3 / 64) * 64)


class SwiGLU(nn.Module):
    """w2(silu(w1 x) * w3 x): what passes is gated by what else is seen (arXiv:2002.05202).

    Args:
        d_model: size of the last dimension, in and out.
        d_ff: inner size.

    Example:
        >>> import torch
        >>> SwiGLU(8, 24)(torch.zeros(2, 8)).shape
        torch.Size([2, 8])
    """

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.w1 = Linear(d_model, d_ff)  # gate
        self.w2 = Linear(d_ff, d_model)  # down
        self.w3 = Linear(d_model, d_ff)  # up

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Each token on its own."""
        # torch's silu is byteloom.nn.functional.silu in one kernel.
        down: Tensor = self.w2(F.silu(self.w1(x)) * self.w3(x))
        return down
