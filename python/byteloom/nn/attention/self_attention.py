"""Self-attention: the tokens of a text look at each other."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from byteloom.nn.attention.cache import LayerCache
from byteloom.nn.attention.heads import Heads
from byteloom.nn.attention.mask import causal_mask
from byteloom.nn.position.base import Position


class SelfAttention(Heads):
    """What members share that differ in who is near enough to be seen."""

    #: Whether a token sees none behind it.
    causal: bool = True
    #: Whether :meth:`near` is to be asked.
    is_local: bool = False

    def near(
        self, queries: Int[Tensor, "*batch q 1"], keys: Int[Tensor, "*batch 1 k"]
    ) -> Bool[Tensor, "*batch q k"]:
        """True where a key is near enough, if ``is_local``; before or behind is not asked here.

        Args:
            queries: places of the tokens that look.
            keys: places of those that are looked at.
        """
        raise NotImplementedError

    def forward(
        self,
        x: Float[Tensor, "*batch seq d_model"],
        positions: Int[Tensor, "*#batch seq"] | None = None,
        position: Position | None = None,
        cache: LayerCache | None = None,
        mask: Bool[Tensor, "*#batch 1 #seq keys"] | None = None,
    ) -> Float[Tensor, "*batch seq d_model"]:
        """Attends.

        Args:
            x: the tokens, which with a cache follow those already read.
            positions: their places, for the position scheme; ``None`` is 0, 1, 2 ..., after
                those in the cache.
            position: the position scheme; ``None`` is none.
            cache: keys and values of earlier tokens, to be used and added to.
            mask: True where a query may attend to a key, in place of the causal mask.
        """
        if positions is None and cache is not None:
            positions = cache.next_positions(x.shape[-2], x.device)
        q, k, v = self.queries(x), self.keys(x), self.values(x)
        if position is not None:
            q, k = position.rotate(q, positions), position.rotate(k, positions)
        if cache is not None:
            k, v = cache.append(k, v)
            mask = cache.cut(mask, k)
        bias = None
        has_bias = position is not None and position.has_bias
        if self.is_local or has_bias:
            queries = torch.arange(x.shape[-2], device=x.device) if positions is None else positions
            keys = queries if cache is None else cache.places(k)
            if position is not None and position.has_bias:
                bias = position.bias(queries, keys).to(q.dtype)
            if self.is_local:
                near = self.near(queries[..., None, :, None], keys[..., None, None, :])
                # One new token sees all in the cache.
                if mask is None and self.causal and x.shape[-2] > 1:
                    mask = causal_mask(q, k)
                mask = near if mask is None else near & mask
        return self.attend(q, k, v, bias, mask, self.causal)

    def new_cache(self, max_length: int) -> LayerCache:
        """An empty cache for this layer, with room for so many tokens.

        Raises:
            ValueError: what is seen in both directions cannot be read token by token.
        """
        if not self.causal:
            raise ValueError(
                "attention.causal is false: tokens see those behind them, so that a text is read "
                "as a whole, and never with a cache"
            )
        return LayerCache(max_length)
