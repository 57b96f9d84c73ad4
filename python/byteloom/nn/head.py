"""The map from what the last block leaves of a token to one logit a token of the vocabulary."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from byteloom.nn.checks import require_positive_if_given
from byteloom.nn.linear import Linear
from byteloom.nn.loss import Sums, linear_cross_entropy


class Head(Linear):
    """W x, then times ``scale``, then soft_cap tanh(logit / soft_cap).

    Args:
        d_model: size of a token's vector.
        vocab_size: logits.
        scale: what they are multiplied by, as in Command R.
        soft_cap: what they stay below, as in Gemma 2 (arXiv:2408.00118); ``None``: nothing.

    Example:
        >>> import torch
        >>> Head(4, 10)(torch.zeros(2, 3, 4)).shape
        torch.Size([2, 3, 10])
    """

    def __init__(
        self, d_model: int, vocab_size: int, scale: float = 1.0, soft_cap: float | None = None
    ) -> None:
        super().__init__(d_model, vocab_size)
        require_positive_if_given(logit_scale=scale, logit_soft_cap=soft_cap)
        self.scale, self.soft_cap = scale, soft_cap

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... vocab"]:
        """The logits."""
        logits = super().forward(x)
        if self.scale != 1:
            logits = logits * self.scale
        return logits if self.soft_cap is None else self.soft_cap * (logits / self.soft_cap).tanh()

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
        return linear_cross_entropy(
            hidden, self.weight, targets, z_loss, piece, compiled, self.scale, self.soft_cap
        )
