"""The block whose parts work side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from byteloom.nn.block.base import Block, BlockConfigBase, Parts, Tokens


@dataclass(frozen=True)
class ParallelConfig(BlockConfigBase):
    """Attention and feed-forward network from one norm (GPT-J), as in Command R."""

    kind: Literal["parallel"] = "parallel"
    """Selects this member."""

    def build(self, parts: Parts) -> ParallelBlock:
        """Makes the module."""
        return ParallelBlock(parts, self.residual_scale)


class ParallelBlock(Block):
    """x + attn(ln1(x)) + ffn(ln1(x)): both products can be one, and there is one norm."""

    def __init__(self, parts: Parts, scale: float = 1.0) -> None:
        super().__init__(parts, scale)
        del self.ln2

    def combine(self, x: Tokens, *how: Any) -> Tokens:
        """The formula."""
        normed = self.ln1(x)
        return x + self.mixed(normed, *how) + self.transformed(normed)
