"""Layer normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from byteloom.nn.checks import require_positive


@dataclass(frozen=True)
class LayerNormConfig:
    """Layer normalisation (Ba et al. 2016, arXiv:1607.06450)."""

    kind: Literal["layernorm"] = "layernorm"
    """Selects this member."""
    eps: float = 1e-5
    """Added to the variance."""
    bias: bool = False
    """Whether a learned vector is added."""

    def build(self, d_model: int) -> LayerNorm:
        """Makes the module."""
        return LayerNorm(d_model, self.eps, self.bias)


class LayerNorm(nn.Module):
    """(x - mean(x)) / sqrt(var(x) + eps) * weight + bias, in float32 (arXiv:1607.06450).

    Args:
        d_model: size of the last dimension.
        eps: added to the variance.
        bias: whether there is one.
    """

    def __init__(self, d_model: int, eps: float = 1e-5, bias: bool = False) -> None:
        super().__init__()
        require_positive("eps", eps)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model)) if bias else None

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Normalises the last dimension; the result has the type of ``x``."""
        wide = x.float()
        centred = wide - wide.mean(-1, keepdim=True)
        scale = torch.rsqrt(centred.square().mean(-1, keepdim=True) + self.eps)
        y = centred * scale * self.weight
        return (y if self.bias is None else y + self.bias).to(x.dtype)
