"""The feed-forward networks of all experts, as matrices in a stack."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from byteloom.nn.ffn.dense import DenseConfig
from byteloom.nn.ffn.gated import GatedFeedForward
from byteloom.nn.grouped import grouped_mm


class StackedLinear(nn.Module):
    """As many linear maps as experts, each with the initial weights of :class:`Linear`.

    Args:
        count: experts.
        d_in: size of the last dimension of the input.
        d_out: and of the output.
        bias: whether the maps have one; it begins as zeros.

    Example:
        >>> StackedLinear(4, 3, 5)(torch.zeros(4, 2, 3)).shape
        torch.Size([4, 2, 5])
    """

    is_map = True

    def __init__(self, count: int, d_in: int, d_out: int, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, d_out, d_in))
        std = math.sqrt(2 / (d_in + d_out))
        nn.init.trunc_normal_(self.weight, std=std, a=-3 * std, b=3 * std)
        self.bias = nn.Parameter(torch.zeros(count, d_out)) if bias else None

    def forward(
        self, x: Float[Tensor, "*rows d_in"], ends: Int[Tensor, " experts"] | None = None
    ) -> Float[Tensor, "*rows d_out"]:
        """Maps each row by its expert's matrix.

        Args:
            x: (rows, d_in), expert after expert; without ``ends`` (experts, rows, d_in).
            ends: where the rows of each expert end, int32.
        """
        weight = self.weight.to(x.dtype)
        y = x @ weight.mT if ends is None else grouped_mm(x, weight, ends)
        if self.bias is None:
            return y
        if ends is None:
            return y + self.bias[:, None].to(y.dtype)
        # Not len(x): exported, that would be one number for all texts.
        rows = torch.arange(x.shape[0], device=x.device)
        expert = torch.searchsorted(ends, rows, right=True)
        return y + self.bias[expert].to(y.dtype)

    def extra_repr(self) -> str:
        """What ``print(model)`` shows."""
        count, d_out, d_in = self.weight.shape
        return f"{count} x {d_in} -> {d_out}"


class Bank(nn.Module):
    """One formula, that of the experts' own module, with a matrix for each of them.

    Args:
        count: experts.
        d_model: size of the last dimension, in and out.
        expert: what each of them is.

    Example:
        >>> from byteloom.nn.ffn.relu import ReLUConfig
        >>> bank = Bank(2, 8, ReLUConfig(d_ff=16))
        >>> bank(torch.zeros(5, 8), torch.tensor([2, 5], dtype=torch.int32)).shape
        torch.Size([5, 8])
    """

    def __init__(self, count: int, d_model: int, expert: DenseConfig) -> None:
        super().__init__()
        with torch.device("meta"):
            one = expert.build(d_model)
        d_ff = one.w1.weight.shape[0]
        self.activation = one.activation
        self.w1 = StackedLinear(count, d_model, d_ff, expert.bias)
        self.w2 = StackedLinear(count, d_ff, d_model, expert.bias)
        self.is_gated = isinstance(one, GatedFeedForward)
        if self.is_gated:
            self.w3 = StackedLinear(count, d_model, d_ff, expert.bias)

    def forward(
        self, x: Float[Tensor, "*rows d_model"], ends: Int[Tensor, " experts"] | None = None
    ) -> Float[Tensor, "*rows d_model"]:
        """Each row by its expert; the arguments are those of :class:`StackedLinear`."""
        inner = self.activation(self.w1(x, ends))
        if self.is_gated:
            inner = inner * self.w3(x, ends)
        down: Tensor = self.w2(inner, ends)
        return down
