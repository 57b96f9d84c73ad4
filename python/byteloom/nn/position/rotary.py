"""Rotary positions: queries and keys are turned by an angle that grows with their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from byteloom.nn.checks import head_size, require_positive
from byteloom.nn.position.base import Position


@dataclass(frozen=True)
class RotaryConfig:
    """Rotary positions (Su et al. 2021, arXiv:2104.09864), in interleaved pairs."""

    kind: Literal["rotary"] = "rotary"
    """Selects this member."""
    theta: float = 10_000.0
    """Base of the wavelengths: the slowest pair turns once in about 2 pi theta tokens."""

    def build(self, d_model: int, num_heads: int, context_length: int) -> RotaryEmbedding:
        """Makes the module."""
        return RotaryEmbedding(head_size(d_model, num_heads), self.theta, context_length)


class RotaryEmbedding(Position):
    """Turns each pair (x[2i], x[2i+1]) by position * theta^(-2i / d_k), computed in float32.

    Args:
        d_k: size of a head; even.
        theta: base of the wavelengths.
        max_seq_len: positions are below it.

    Raises:
        ValueError: an odd ``d_k``; in use, more vectors than ``max_seq_len``.

    Example:
        >>> rope = RotaryEmbedding(d_k=2, theta=10_000.0, max_seq_len=8)
        >>> x = torch.tensor([[1.0, 0.0]])
        >>> rope(x, torch.tensor([1]))  # by one radian
        tensor([[0.5403, 0.8415]])
    """

    cos: Tensor
    sin: Tensor

    def __init__(
        self,
        d_k: int,
        theta: float,
        max_seq_len: int,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        require_positive("theta", theta)
        if d_k % 2:
            raise ValueError(f"rotary positions turn pairs: the head size must be even, not {d_k}")
        # In double precision: far positions times small steps lose their last bits otherwise.
        exponents = torch.arange(0, d_k, 2, dtype=torch.float64) / d_k
        angles = torch.outer(torch.arange(max_seq_len, dtype=torch.float64), theta**-exponents)
        cos, sin = angles.cos(), angles.sin()
        # One number for each of a head's; not part of the state: made from the configuration.
        cos, sin = torch.stack((cos, cos), dim=-1), torch.stack((-sin, sin), dim=-1)
        self.register_buffer("cos", cos.flatten(-2).float().to(device), persistent=False)
        self.register_buffer("sin", sin.flatten(-2).float().to(device), persistent=False)

    def forward(
        self, x: Float[Tensor, "... seq d_k"], positions: Int[Tensor, "... seq"] | None = None
    ) -> Float[Tensor, "... seq d_k"]:
        """Turns vectors that stand at 0, 1, 2 ..., or at ``positions``, which broadcast to them."""
        seq, max_seq_len = x.shape[-2], self.cos.shape[0]
        if positions is None:
            if seq > max_seq_len:
                raise ValueError(f"{seq} vectors do not fit: max_seq_len is {max_seq_len}")
            cos, sin = self.cos[:seq], self.sin[:seq]
        else:
            cos, sin = self.cos[positions], self.sin[positions]  # (..., seq, d_k)
        # (x[0] cos - x[1] sin, x[1] cos + x[0] sin), and so on: each number, and its pair's other.
        wide = x.float()
        other = wide.reshape(*x.shape[:-1], -1, 2).flip(-1).flatten(-2)
        return (wide * cos + other * sin).to(x.dtype)

    def rotate(
        self,
        x: Float[Tensor, "*batch heads seq d_k"],
        positions: Int[Tensor, "*#batch seq"] | None,
    ) -> Float[Tensor, "*batch heads seq d_k"]:
        """All heads alike."""
        turned: Tensor = self(x, None if positions is None else positions.unsqueeze(-2))
        return turned
