"""What a run minimises: ids and targets -> the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from byteloom.model import TransformerLM
from byteloom.nn.loss import Sums, linear_cross_entropy


class Objective:
    """The loss of a model, compiled or not.

    Args:
        model: the weights.
        z_loss: see :func:`byteloom.nn.loss.linear_cross_entropy`.
        compiled: whether torch.compile makes it faster.
    """

    def __init__(self, model: TransformerLM, z_loss: float = 0.0, compiled: bool = False) -> None:
        self.model, self.z_loss, self.compiled = model, z_loss, compiled
        self._hidden = cast(
            Callable[[Tensor], Tensor], torch.compile(model.hidden) if compiled else model.hidden
        )

    def __call__(self, inputs: Tensor, targets: Tensor) -> Sums:
        """Sums over the targets."""
        hidden, weight = self._hidden(inputs), self.model.lm_head.weight
        return linear_cross_entropy(hidden, weight, targets, self.z_loss, compiled=self.compiled)
