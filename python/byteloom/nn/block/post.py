"""The block with norms behind its sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from byteloom.nn.block.base import BlockConfigBase, Part, Parts, SequentialBlock, Tokens


@dataclass(frozen=True)
class PostNormConfig(BlockConfigBase):
    """Norms behind the sums, as in the first transformer (arXiv:1706.03762) and BERT."""

    kind: Literal["post"] = "post"
    """Selects this member."""

    def build(self, parts: Parts) -> PostNormBlock:
        """Makes the module."""
        return PostNormBlock(parts, self.residual_scale)


class PostNormBlock(SequentialBlock):
    """ln1(x + attn(x)), and then ln2(x + ffn(x))."""

    def add(self, x: Tokens, part: Part, ln: str) -> Tokens:
        """The formula."""
        return self.normed(ln, x + part(x))
