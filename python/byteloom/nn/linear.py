"""The linear map."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from byteloom.nn.checks import require_positive


class Linear(nn.Module):
    """y = x W^T, or with a bias x W^T + b.

    Initial weights: a normal distribution of variance 2 / (d_in + d_out), cut at 3 standard
    deviations (Glorot & Bengio 2010).

    Args:
        d_in: size of the last dimension of the input.
        d_out: and of the output.
        bias: whether there is one; it begins as zeros.

    Example:
        >>> Linear(3, 5)(torch.zeros(2, 3)).shape
        torch.Size([2, 5])
    """

    #: For whoever gives initial weights: vectors are multiplied with it.
    is_map = True

    def __init__(
        self,
        d_in: int,
        d_out: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__()
        require_positive("d_in", d_in)
        require_positive("d_out", d_out)
        self.weight = nn.Parameter(torch.empty(d_out, d_in, device=device, dtype=dtype))
        std = math.sqrt(2 / (d_in + d_out))
        if not self.weight.is_meta:  # there, it takes long and does nothing
            nn.init.trunc_normal_(self.weight, std=std, a=-3 * std, b=3 * std)
        zeros = torch.zeros(d_out, device=device, dtype=dtype) if bias else None
        self.bias = None if zeros is None else nn.Parameter(zeros)

    def forward(self, x: Float[Tensor, "... d_in"]) -> Float[Tensor, "... d_out"]:
        """Maps the last dimension."""
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """What ``print(model)`` shows."""
        return f"{self.weight.shape[1]} -> {self.weight.shape[0]}"
