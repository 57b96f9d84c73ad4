"""The block of a decoder that looks at what an encoder has read."""

from __future__ import annotations

from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor

from byteloom.nn.attention import CrossConfig, LayerState, MemoryCache
from byteloom.nn.block.base import Block, Parts, Tokens
from byteloom.nn.position import Position


class CrossBlock(Block):
    """Self-attention, then cross-attention, then the feed-forward network (arXiv:1706.03762).

    Args:
        parts: what it is made of.
        cross: what looks at the encoder's vectors.
        post: whether norms are behind the sums, as in the first transformer; otherwise before the
            parts, as in T5.
        scale: what is added is multiplied by this.
    """

    def __init__(
        self, parts: Parts, cross: CrossConfig, post: bool = False, scale: float = 1.0
    ) -> None:
        super().__init__(parts, scale)
        self.ln_cross = parts.norm.build(parts.d_model)
        self.cross = cross.build(parts.d_model, parts.num_heads)
        self.post = post

    def forward(
        self,
        x: Tokens,
        positions: Int[Tensor, "*#batch seq"] | None = None,
        position: Position | None = None,
        cache: LayerState | None = None,
        mask: Bool[Tensor, "*#batch 1 #seq keys"] | None = None,
        memory: Float[Tensor, "*batch memory d_model"] | None = None,
        memory_mask: Bool[Tensor, "*#batch 1 #seq memory"] | None = None,
        memory_cache: MemoryCache | None = None,
    ) -> Tokens:
        """Passes the tokens on.

        Args:
            x: the tokens.
            positions: see :class:`MultiHeadSelfAttention`, like those up to ``mask``.
            position: likewise.
            cache: likewise.
            mask: likewise.
            memory: what the encoder made; may be left out when the cache has it.
            memory_mask: True where a token may attend to one of the memory.
            memory_cache: where the memory's keys and values are, or will be.
        """
        seen = (memory, memory_mask, memory_cache)
        if self.post:
            x = self.ln1(x + self.mixed(x, positions, position, cache, mask))
            x = self.ln_cross(x + self._scaled(self.cross(x, *seen)))
            return self.combine(x)
        x = x + self.mixed(self.ln1(x), positions, position, cache, mask)
        x = x + self._scaled(self.cross(self.ln_cross(x), *seen))
        return self.combine(x)

    def combine(self, x: Tokens, *how: Any) -> Tokens:
        """The last part: the feed-forward network."""
        if self.post:
            normed: Tokens = self.ln2(x + self.transformed(x))
            return normed
        return x + self.transformed(self.ln2(x))
