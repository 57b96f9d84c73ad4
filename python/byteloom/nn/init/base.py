"""What all ways to begin share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from byteloom.nn.checks import require_positive_if_given
from byteloom.nn.init.roles import Role, weights_by_role


@dataclass(frozen=True)
class InitBase:
    """A standard deviation for each role; norms and biases begin as their modules have them."""

    kind: str = ""
    """Selects the member."""
    std: float = 0.02
    """Standard deviation of the weights."""
    embedding_std: float | None = None
    """That of embeddings, those of places included; none: `std`."""

    def __post_init__(self) -> None:
        require_positive_if_given(std=self.std, embedding_std=self.embedding_std)

    def std_of(self, role: Role, d_model: int, num_layers: float) -> float:
        """The standard deviation of a role's weights, in a model of this size."""
        if role in ("embedding", "positions") and self.embedding_std is not None:
            return self.embedding_std
        return self.std

    def draw(self, weight: Tensor, std: float) -> None:
        """Fills a weight."""
        nn.init.normal_(weight, std=std)

    @torch.no_grad()
    def start(self, model: nn.Module, d_model: int, num_layers: float) -> None:
        """Fills the weights of a model, from torch's global generator.

        Args:
            model: see :func:`byteloom.nn.init.weights_by_role`.
            d_model: its width.
            num_layers: its blocks, of two parts each; one of three counts for one and a half.
        """
        for role, weight in weights_by_role(model):
            self.draw(weight, self.std_of(role, d_model, num_layers))

    def logit_factor(self, d_model: int) -> float:
        """What logits are multiplied by."""
        return 1

    def lr_scales(self, d_model: int) -> dict[str, float]:
        """What learning rates are multiplied by, by groups of the optimizer; others are as said."""
        return {}
