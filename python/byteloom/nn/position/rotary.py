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
        return turn(x, *self._tables(x.shape[-2], positions))

    def rotate(
        self,
        x: Float[Tensor, "*batch heads seq d_k"],
        positions: Int[Tensor, "*#batch seq"] | None,
    ) -> Float[Tensor, "*batch heads seq d_k"]:
        """All heads alike."""
        cos, sin = self._tables(x.shape[-2], positions)
        # In the order of memory, a token's heads side by side: compiled, the gradient is then
        # written in that order too, and nobody has to copy it.
        tokens = x.transpose(-3, -2)
        return turn(tokens, cos.unsqueeze(-2), sin.unsqueeze(-2)).transpose(-3, -2)

    def _tables(
        self, seq: int, positions: Int[Tensor, "... seq"] | None
    ) -> tuple[Float[Tensor, "... seq d_k"], Float[Tensor, "... seq d_k"]]:
        """Cosines and sines for vectors at 0, 1, 2 ..., or at ``positions``."""
        if positions is not None:
            return self.cos[positions], self.sin[positions]
        max_seq_len = self.cos.shape[0]
        if seq > max_seq_len:
            raise ValueError(f"{seq} vectors do not fit: max_seq_len is {max_seq_len}")
        return self.cos[:seq], self.sin[:seq]


def turn(
    x: Float[Tensor, "... d_k"], cos: Float[Tensor, "... d_k"], sin: Float[Tensor, "... d_k"]
) -> Float[Tensor, "... d_k"]:
    """Turns pairs: (x[0] cos - x[1] sin, x[1] cos + x[0] sin), and so on, in float32.

    Args:
        x: vectors.
        cos: the cosine of each pair's angle, twice.
        sin: the sine of each pair's angle, negated and not.
    """
    wide = x.float()
    other_of_pair = wide.reshape(*x.shape[:-1], -1, 2).flip(-1).flatten(-2)
    return (wide * cos + other_of_pair * sin).to(x.dtype)
