"""Root-mean-square normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from byteloom.nn.checks import require_positive


@dataclass(frozen=True)
class RMSNormConfig:
    """Root-mean-square normalisation (Zhang & Sennrich 2019, arXiv:1910.07467)."""

    kind: Literal["rmsnorm"] = "rmsnorm"
    """Selects this member."""
    eps: float = 1e-5
    """Added to the mean square, so that a vector of zeros stays one."""

    def build(self, d_model: int) -> RMSNorm:
        """Makes the module."""
        return RMSNorm(d_model, self.eps)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight, computed in float32 (arXiv:1910.07467).

    Args:
        d_model: size of the last dimension.
        eps: added to the mean square.

    Example:
        >>> RMSNorm(2)(torch.tensor([3.0, -3.0])).detach()
        tensor([ 1.0000, -1.0000])
    """

    def __init__(
        self,
        d_model: int,
        eps: float = 1e-5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        require_positive("eps", eps)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model, device=device, dtype=dtype))

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Normalises the last dimension; the result has the type of ``x``."""
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (wide * scale * self.weight).to(x.dtype)
