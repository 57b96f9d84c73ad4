"""The block whose parts work side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from byteloom.nn.block.base import Block, BlockConfigBase, Part, Parts, Tokens


@dataclass(frozen=True)
class ParallelConfig(BlockConfigBase):
    """All parts from one norm (GPT-J), as in Command R."""

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
        if parts.cross is not None:
            del self.ln_cross

    def combine(self, x: Tokens, parts: dict[str, Part]) -> Tokens:
        """The formula."""
        normed = self.ln1(x)
        for part in parts.values():
            x = x + part(normed)
        return x
