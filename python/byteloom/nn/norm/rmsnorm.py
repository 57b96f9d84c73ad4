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
    unit_offset: bool = False
    """Whether the gain is 1 + weight, which begins at 0 and decays to it, as in Gemma."""
    gain: bool = True
    """Whether there is a learned gain; without, nothing is learned, as in nanochat."""

    def __post_init__(self) -> None:
        if self.unit_offset and not self.gain:
            raise ValueError("unit_offset is of a gain, but gain is false: choose one of them")

    def build(self, d_model: int) -> RMSNorm:
        """Makes the module."""
        return RMSNorm(d_model, self.eps, unit_offset=self.unit_offset, gain=self.gain)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight, computed in float32 (arXiv:1910.07467).

    Args:
        d_model: size of the last dimension.
        eps: added to the mean square.
        unit_offset: whether one is added to the weight, which begins as zeros.
        gain: whether there is a weight at all.

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
        unit_offset: bool = False,
        gain: bool = True,
    ) -> None:
        super().__init__()
        require_positive("eps", eps)
        self.eps, self.offset = eps, float(unit_offset)
        begin = torch.full((d_model,), 1 - self.offset, device=device, dtype=dtype)
        self.weight = nn.Parameter(begin) if gain else None

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Normalises the last dimension; the result has the type of ``x``."""
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        if self.weight is None:
            return (wide * scale).to(x.dtype)
        gain = self.weight + self.offset if self.offset else self.weight
        return (wide * scale * gain).to(x.dtype)
