"""The feed-forward network without a gate: what its members share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from byteloom.nn.ffn.base import FeedForwardBase
from byteloom.nn.linear import Linear


@dataclass(frozen=True)
class PlainConfig(FeedForwardBase):
    """Two linear maps with an activation between them."""

    def build(self, d_model: int) -> FeedForward:
        """Makes the module."""
        d_ff = self.width(d_model, 4 * d_model)
        return FeedForward(d_model, d_ff, self.activation(), self.bias)


class FeedForward(nn.Module):
    """w2(activation(w1 x)) (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        d_model: size of the last dimension, in and out.
        d_ff: inner size.
        activation: number by number.
        bias: whether the maps have one.

    Example:
        >>> import torch
        >>> FeedForward(8, 32, torch.relu)(torch.zeros(2, 8)).shape
        torch.Size([2, 8])
    """

    def __init__(
        self, d_model: int, d_ff: int, activation: Callable[[Tensor], Tensor], bias: bool = False
    ) -> None:
        super().__init__()
        self.activation = activation
        self.w1 = Linear(d_model, d_ff, bias=bias)
        self.w2 = Linear(d_ff, d_model, bias=bias)

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Each token on its own."""
        down: Tensor = self.w2(self.activation(self.w1(x)))
        return down
