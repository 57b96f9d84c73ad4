"""Sines and cosines of each place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from byteloom.nn.checks import require_positive
from byteloom.nn.position.base import Position


@dataclass(frozen=True)
class SinusoidalConfig:
    """Sines and cosines of the place are added (Vaswani et al. 2017, arXiv:1706.03762)."""

    kind: Literal["sinusoidal"] = "sinusoidal"
    """Selects this member."""
    theta: float = 10_000.0
    """Base of the wavelengths."""

    def build(
        self, d_model: int, num_heads: int, context_length: int, d_head: int | None = None
    ) -> SinusoidalPositions:
        """Makes the module."""
        return SinusoidalPositions(context_length, d_model, self.theta)


class SinusoidalPositions(Position):
    """Adds sin(place theta^(-2i / d)) to number 2i of each embedded token, the cosine to 2i + 1.

    Args:
        max_seq_len: places there are.
        d_model: size of a token's vector; even.
        theta: base of the wavelengths.

    Raises:
        ValueError: an odd ``d_model``.
    """

    table: Tensor

    def __init__(self, max_seq_len: int, d_model: int, theta: float = 10_000.0) -> None:
        super().__init__()
        require_positive("theta", theta)
        if d_model % 2:
            raise ValueError(f"sinusoidal positions come in pairs: d_model {d_model} must be even")
        exponents = torch.arange(0, d_model, 2, dtype=torch.float64) / d_model
        angles = torch.outer(torch.arange(max_seq_len, dtype=torch.float64), theta**-exponents)
        table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
        self.register_buffer("table", table.float(), persistent=False)

    def embed(
        self, x: Float[Tensor, "*batch seq d_model"], positions: Int[Tensor, "*#batch seq"] | None
    ) -> Float[Tensor, "*batch seq d_model"]:
        """Adds them, once."""
        added = self.table[: x.shape[-2]] if positions is None else self.table[positions]
        return x + added.to(x.dtype)
