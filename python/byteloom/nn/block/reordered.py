"""The block with norms behind its parts, within the sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from byteloom.nn.block.base import BlockConfigBase, Part, Parts, SequentialBlock, Tokens


@dataclass(frozen=True)
class ReorderedNormConfig(BlockConfigBase):
    """Norms behind attention and feed-forward network (OLMo 2, arXiv:2501.00656)."""

    kind: Literal["reordered"] = "reordered"
    """Selects this member."""

    def build(self, parts: Parts) -> ReorderedNormBlock:
        """Makes the module."""
        return ReorderedNormBlock(parts, self.residual_scale)


class ReorderedNormBlock(SequentialBlock):
    """x + ln1(attn(x)), and then x + ln2(ffn(x))."""

    def add(self, x: Tokens, part: Part, ln: str) -> Tokens:
        """The formula."""
        return x + self.normed(ln, part(x))
