"""The block with norms behind its parts, within the sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from byteloom.nn.block.base import Block, BlockConfigBase, Parts, Tokens


@dataclass(frozen=True)
class ReorderedNormConfig(BlockConfigBase):
    """Norms behind attention and feed-forward network (OLMo 2, arXiv:2501.00656)."""

    kind: Literal["reordered"] = "reordered"
    """Selects this member."""

    def build(self, parts: Parts) -> ReorderedNormBlock:
        """Makes the module."""
        return ReorderedNormBlock(parts, self.residual_scale)


class ReorderedNormBlock(Block):
    """x + ln1(attn(x)), and then x + ln2(ffn(x))."""

    def combine(self, x: Tokens, *how: Any) -> Tokens:
        """The formula."""
        x = x + self.ln1(self.mixed(x, *how))
        y: Tokens = x + self.ln2(self.transformed(x))
        return y
