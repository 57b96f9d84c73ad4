"""Rotary positions: queries and keys are turned by an angle that grows with their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from byteloom.nn.checks import head_size, require_positive
from byteloom.nn.position.base import Position
from byteloom.nn.position.scaling import RotaryScaling

Layout: TypeAlias = Literal["interleaved", "half"]


@dataclass(frozen=True)
class RotaryConfig:
    """Rotary positions (Su et al. 2021, arXiv:2104.09864)."""

    kind: Literal["rotary"] = "rotary"
    """Selects this member."""
    theta: float = 10_000.0
    """Base of the wavelengths: the slowest pair turns once in about 2 pi theta tokens."""
    layout: Layout = "interleaved"
    """Which numbers are a pair: neighbours, as in the paper, or "half" a head apart."""
    fraction: float = 1.0
    """Part of a head that is turned, from its beginning; the rest passes."""
    scaling: RotaryScaling | None = None
    """For contexts longer than those of training."""

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction is {self.fraction}; it must be above 0 and at most 1")

    def build(
        self, d_model: int, num_heads: int, context_length: int, d_head: int | None = None
    ) -> RotaryEmbedding:
        """Makes the module."""
        return RotaryEmbedding(
            head_size(d_model, num_heads) if d_head is None else d_head,
            self.theta,
            context_length,
            layout=self.layout,
            fraction=self.fraction,
            scaling=self.scaling,
        )


class RotaryEmbedding(Position):
    """Turns each pair by position * theta^(-2i / d_k), computed in float32.

    The pairs are (x[2i], x[2i+1]), or with the layout "half" (x[i], x[i + d_k / 2]). Permuting the
    rows of the matrices of queries and keys leads from one to the other.

    Args:
        d_k: size of a head; even.
        theta: base of the wavelengths.
        max_seq_len: positions are below it.
        layout: which numbers are a pair.
        fraction: the part of a vector that is turned; ``d_k`` above is the size of that.
        scaling: changes the angles.

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
        *,
        layout: Layout = "interleaved",
        fraction: float = 1.0,
        scaling: RotaryScaling | None = None,
    ) -> None:
        super().__init__()
        require_positive("theta", theta)
        self.layout: Layout = layout
        self.size = int(d_k * fraction)
        """Of the part of a vector that is turned."""
        if self.size % 2 or not self.size:
            of = "" if fraction == 1 else f" times the fraction {fraction}"
            raise ValueError(
                f"rotary positions turn pairs: the head size{of} must be even, not {self.size}"
            )
        # In double precision: far positions times small steps lose their last bits otherwise.
        exponents = torch.arange(0, self.size, 2, dtype=torch.float64) / self.size
        angles, factor = theta**-exponents, 1.0
        if scaling is not None:
            angles, factor = scaling.scaled(angles, theta)
        angles = torch.outer(torch.arange(max_seq_len, dtype=torch.float64), angles)
        cos, sin = factor * angles.cos(), factor * angles.sin()
        # One number for each of a head's; not part of the state: made from the configuration.
        side = -1 if layout == "interleaved" else -2
        for name, pair in (("cos", (cos, cos)), ("sin", (-sin, sin))):
            table = torch.stack(pair, dim=side).flatten(-2).float().to(device)
            self.register_buffer(name, table, persistent=False)

    def forward(
        self, x: Float[Tensor, "... seq d_k"], positions: Int[Tensor, "... seq"] | None = None
    ) -> Float[Tensor, "... seq d_k"]:
        """Turns vectors that stand at 0, 1, 2 ..., or at ``positions``, which broadcast to them."""
        return turn(x, *self._tables(x.shape[-2], positions), self.layout)

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
        turned = turn(tokens, cos.unsqueeze(-2), sin.unsqueeze(-2), self.layout)
        return turned.transpose(-3, -2)

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
    x: Float[Tensor, "... d_k"],
    cos: Float[Tensor, "... size"],
    sin: Float[Tensor, "... size"],
    layout: Layout = "interleaved",
) -> Float[Tensor, "... d_k"]:
    """Turns pairs (a, b) into (a cos - b sin, b cos + a sin), in float32.

    Args:
        x: vectors, of which the first ``size`` numbers are turned, and the others pass.
        cos: the cosine of each pair's angle, where either of the pair is.
        sin: likewise the sine, negated for the first of a pair.
        layout: which numbers are a pair.
    """
    size = cos.shape[-1]
    wide = (x if size == x.shape[-1] else x[..., :size]).float()
    if layout == "interleaved":
        other_of_pair = wide.reshape(*x.shape[:-1], -1, 2).flip(-1).flatten(-2)
    else:
        other_of_pair = wide.roll(size // 2, dims=-1)
    turned = (wide * cos + other_of_pair * sin).to(x.dtype)
    return turned if size == x.shape[-1] else torch.cat((turned, x[..., size:]), dim=-1)
