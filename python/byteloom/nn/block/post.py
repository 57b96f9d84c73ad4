"""The block with norms behind its sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from byteloom.nn.block.base import Block, BlockConfigBase, Parts, Tokens


@dataclass(frozen=True)
class PostNormConfig(BlockConfigBase):
    """Norms behind the sums, as in the first transformer (arXiv:1706.03762) and BERT."""

    kind: Literal["post"] = "post"
    """Selects this member."""

    def build(self, parts: Parts) -> PostNormBlock:
        """Makes the module."""
        return PostNormBlock(parts, self.residual_scale)


class PostNormBlock(Block):
    """ln1(x + attn(x)), and then ln2(x + ffn(x))."""

    def combine(self, x: Tokens, *how: Any) -> Tokens:
        """The formula."""
        x = self.ln1(x + self.mixed(x, *how))
        normed: Tokens = self.ln2(x + self.transformed(x))
        return normed
