"""The block with norms on both sides of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from byteloom.nn.block.base import BlockConfigBase, Part, Parts, SequentialBlock, Tokens


@dataclass(frozen=True)
class SandwichConfig(BlockConfigBase):
    """Norms before and behind each part (CogView, arXiv:2105.13290), as in Gemma 2."""

    kind: Literal["sandwich"] = "sandwich"
    """Selects this member."""

    def build(self, parts: Parts) -> SandwichBlock:
        """Makes the module."""
        return SandwichBlock(parts, self.residual_scale)


class SandwichBlock(SequentialBlock):
    """x + ln1_out(attn(ln1(x))), and then x + ln2_out(ffn(ln2(x)))."""

    def __init__(self, parts: Parts, scale: float = 1.0) -> None:
        super().__init__(parts, scale)
        self.ln1_out = parts.norm.build(parts.d_model)
        self.ln2_out = parts.norm.build(parts.d_model)
        if parts.cross is not None:
            self.ln_cross_out = parts.norm.build(parts.d_model)

    def add(self, x: Tokens, part: Part, ln: str) -> Tokens:
        """The formula."""
        return x + self.normed(f"{ln}_out", part(self.normed(ln, x)))
