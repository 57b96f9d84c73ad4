"""No positions at all: the causal mask alone tells the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from byteloom.nn.position.base import Position


@dataclass(frozen=True)
class NoPositionConfig:
    """No positions (Kazemnejad et al. 2023, arXiv:2305.19466)."""

    kind: Literal["none"] = "none"
    """Selects this member."""

    def build(
        self, d_model: int, num_heads: int, context_length: int, d_head: int | None = None
    ) -> Position:
        """Makes the module."""
        return Position()
