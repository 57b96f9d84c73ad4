"""What a run minimises: ids and targets -> the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Int
from torch import Tensor

from byteloom.model import TransformerLM
from byteloom.nn.loss import Sums
from byteloom.nn.recompute import let_layers_note


class Objective:
    """The loss of a model, compiled or not.

    Args:
        model: the weights.
        z_loss: see :func:`byteloom.nn.loss.linear_cross_entropy`.
        compiled: whether torch.compile makes it faster.
        separator: the id that ends a document, where no token is to see another's; ``None``: a
            window is one text.
    """

    def __init__(
        self,
        model: TransformerLM,
        z_loss: float = 0.0,
        compiled: bool = False,
        separator: int | None = None,
    ) -> None:
        self.model, self.z_loss, self.compiled = model, z_loss, compiled
        self.separator = separator
        if compiled and any(hasattr(part, "end_step") for part in model.modules()):
            let_layers_note()
        self.hidden = cast(
            Callable[..., Tensor], torch.compile(model.hidden) if compiled else model.hidden
        )

    def __call__(self, inputs: Tensor, targets: Tensor) -> Sums:
        """Sums over the targets."""
        documents = None if self.separator is None else document_numbers(inputs, self.separator)
        hidden = self.hidden(inputs, documents=documents)
        return self.model.lm_head.loss(hidden, targets, self.z_loss, compiled=self.compiled)


def document_numbers(ids: Int[Tensor, "batch seq"], separator: int) -> Int[Tensor, "batch seq"]:
    """Which document of its window each token is of: how many separators come before it.

    A separator is the last token of the document that it ends.

    Example:
        >>> document_numbers(torch.tensor([[5, 6, 0, 7, 0, 0, 8]]), separator=0)
        tensor([[0, 0, 0, 1, 1, 2, 3]])
    """
    ends = (ids == separator).long()
    return ends.cumsum(-1) - ends
