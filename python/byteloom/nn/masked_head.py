"""The map from an encoder's vector to logits of the token that was hidden there."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from byteloom.nn.head import Head
from byteloom.nn.linear import Linear
from byteloom.nn.loss import Sums, linear_cross_entropy
from byteloom.nn.norm import NormConfig


class MaskedHead(Head):
    """W norm(activation(dense(x))) + bias, as in BERT (arXiv:1810.04805).

    Args:
        d_model: size of a token's vector.
        vocab_size: logits.
        activation: number by number.
        norm: what normalises behind it.
        scale: what logits are multiplied by.
        soft_cap: what they stay below; ``None``: nothing. Both as :class:`Head` has them.

    Example:
        >>> from byteloom.nn.norm import LayerNormConfig
        >>> MaskedHead(4, 10, torch.relu, LayerNormConfig())(torch.zeros(2, 3, 4)).shape
        torch.Size([2, 3, 10])
    """

    def __init__(
        self,
        d_model: int,
        vocab_size: int,
        activation: Callable[[Tensor], Tensor],
        norm: NormConfig,
        scale: float = 1.0,
        soft_cap: float | None = None,
    ) -> None:
        super().__init__(d_model, vocab_size, scale, soft_cap)
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.dense = Linear(d_model, d_model, bias=True)
        self.activation = activation
        self.norm = norm.build(d_model)

    def transformed(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """What the last map sees."""
        normed: Tensor = self.norm(self.activation(self.dense(x)))
        return normed

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... vocab"]:
        """The logits."""
        return super().forward(self.transformed(x))

    def loss(
        self,
        hidden: Float[Tensor, "*batch d_model"],
        targets: Int[Tensor, "*batch"],
        z_loss: float = 0.0,
        piece: int | None = None,
        compiled: bool = False,
    ) -> Sums:
        """The loss of the logits, which never exist all at once.

        The arguments are those of :func:`byteloom.nn.loss.linear_cross_entropy`.
        """
        assert self.bias is not None
        x = self.transformed(hidden)
        # The bias is one more column, that a one is multiplied with.
        x = torch.cat([x, x.new_ones(*x.shape[:-1], 1)], dim=-1)
        weight = torch.cat([self.weight, self.bias[:, None]], dim=1)
        return linear_cross_entropy(
            x, weight, targets, z_loss, piece, compiled, self.scale, self.soft_cap
        )
