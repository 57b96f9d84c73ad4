"""The blocks between embedded tokens and what is made of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from byteloom.nn import Block, Cache, Position
from byteloom.nn.attention import MemoryCache
from byteloom.nn.layered import is_each
from byteloom.nn.recompute import Recomputing
from byteloom.nn.whole import stream_dtype


class Stack(nn.Module):
    """Places, dropout, blocks, and norms before and behind them.

    Args:
        layers: the blocks.
        position: the position scheme, shared by all.
        ln_embedding: what comes behind the embedding.
        ln_final: what comes behind the last block.
        dropout: part of the numbers that training sets to zero.
        positionless_every: each layer of this number and its multiples is told no places.
    """

    def __init__(
        self,
        layers: Iterable[Block],
        position: Position,
        ln_embedding: nn.Module,
        ln_final: nn.Module,
        dropout: float,
        positionless_every: int | None = None,
    ) -> None:
        super().__init__()
        self.position = position
        self.ln_embedding = ln_embedding
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(layers)
        self.ln_final = ln_final
        self.positionless_every = positionless_every

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        recomputing: Recomputing,
        positions: Int[Tensor, "#batch seq"] | None = None,
        mask: Bool[Tensor, "#batch 1 #seq keys"] | None = None,
        cache: Cache | None = None,
        memory: tuple[Any, ...] = (),
        memory_caches: list[MemoryCache] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Passes embedded tokens on.

        Args:
            x: the tokens.
            recomputing: how much of the blocks is kept for the gradients.
            positions: their places; by default 0, 1, 2 ... after those in the cache.
            mask: True where a token may see another; ``None`` is the attention's own.
            cache: the tokens before these; these are added.
            memory: for blocks that look at one: its vectors, and their mask.
            memory_caches: and what they made of it.
        """
        if positions is None and cache is not None:
            positions = cache.layers[0].next_positions(x.shape[1], x.device)
        x = self.ln_embedding(self.position.embed(x, positions))
        x = self.dropout(x.to(stream_dtype(x)))
        for i, layer in enumerate(self.layers):
            position = None if is_each(i, self.positionless_every) else self.position
            if cache is None:
                x = recomputing(layer, x, positions, position, None, mask, *memory)
            else:
                more = () if memory_caches is None else (memory_caches[i],)
                x = layer(x, positions, position, cache.layers[i], mask, *memory, *more)
        normed: Tensor = self.ln_final(x)
        return normed

    def new_cache(self, max_length: int) -> Cache:
        """An empty cache, with room for so many tokens."""
        layers = cast(Iterable[Block], self.layers)
        return Cache([layer.attn.new_cache(max_length) for layer in layers])
