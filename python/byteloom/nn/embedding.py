"""The table of token vectors."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from byteloom.nn.checks import require_positive


class Embedding(nn.Module):
    """Token id -> its vector.

    Initial vectors: a normal distribution of variance 1, cut at 3.

    Args:
        vocab_size: number of ids.
        d_model: size of a vector.

    Example:
        >>> Embedding(10, 4)(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 4])
    """

    #: For whoever groups parameters: rows are looked up, not multiplied with.
    is_table = True

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        require_positive("vocab_size", vocab_size)
        require_positive("d_model", d_model)
        self.weight = nn.Parameter(torch.empty(vocab_size, d_model, device=device, dtype=dtype))
        if not self.weight.is_meta:  # there, it takes long and does nothing
            nn.init.trunc_normal_(self.weight, std=1.0, a=-3.0, b=3.0)

    def forward(self, ids: Int[Tensor, ...]) -> Float[Tensor, "... d_model"]:
        """Looks the ids up."""
        return nn.functional.embedding(ids, self.weight)

    def extra_repr(self) -> str:
        """What ``print(model)`` shows."""
        return f"{self.weight.shape[0]} x {self.weight.shape[1]}"
