"""The gated feed-forward network: what its members share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from byteloom.nn.ffn.base import FeedForwardBase
from byteloom.nn.ffn.plain import FeedForward
from byteloom.nn.linear import Linear


@dataclass(frozen=True)
class GatedConfig(FeedForwardBase):
    """Two linear maps side by side, one of which gates the other, and a third behind them."""

    def build(self, d_model: int) -> GatedFeedForward:
        """Makes the module."""
        d_ff = self.width(d_model, default_d_ff(d_model))
        return GatedFeedForward(d_model, d_ff, self.activation(), self.bias)


def default_d_ff(d_model: int) -> int:
    """8/3 d_model, to the nearest multiple of 64, which suits matrix units: 1,344 for 512."""
    return max(64, round(8 * d_model / 3 / 64) * 64)


class GatedFeedForward(FeedForward):
    """w2(activation(w1 x) * w3 x): what passes is gated by what else is seen (arXiv:2002.05202).

    Args:
        d_model: size of the last dimension, in and out.
        d_ff: inner size.
        activation: number by number.
        bias: whether the maps have one.

    Example:
        >>> import torch
        >>> GatedFeedForward(8, 24, torch.sigmoid)(torch.zeros(2, 8)).shape
        torch.Size([2, 8])
    """

    def __init__(
        self, d_model: int, d_ff: int, activation: Callable[[Tensor], Tensor], bias: bool = False
    ) -> None:
        super().__init__(d_model, d_ff, activation, bias)  # w1 makes the gate
        self.w3 = Linear(d_model, d_ff, bias=bias)

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Each token on its own."""
        down: Tensor = self.w2(self.activation(self.w1(x)) * self.w3(x))
        return down
