"""Multi-head self-attention."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from byteloom.nn.attention.cache import LayerCache
from byteloom.nn.attention.heads import Heads, HeadsConfig
from byteloom.nn.attention.mask import causal_mask
from byteloom.nn.checks import require_positive_if_given
from byteloom.nn.functional import Backend
from byteloom.nn.position.base import Position


@dataclass(frozen=True)
class MultiHeadConfig(HeadsConfig):
    """Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762)."""

    kind: Literal["multi_head"] = "multi_head"
    """Selects this member."""
    window: int | None = None
    """A token sees so many, itself included; none: all before it (arXiv:2004.05150)."""
    causal: bool = True
    """Whether a token sees none behind it; if not, as in BERT, a window is one on either side."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive_if_given(window=self.window)

    def full(self) -> MultiHeadConfig:
        """The same, seeing all."""
        return replace(self, window=None)

    def build(self, d_model: int, num_heads: int) -> MultiHeadSelfAttention:
        """Makes the module."""
        return MultiHeadSelfAttention(d_model, num_heads, config=self)


class MultiHeadSelfAttention(Heads):
    """Every token looks at itself and those before it, in ``num_heads`` ways at once.

    Written out, for each head: softmax(Q K^T / sqrt(d_head) + mask) V, with Q, K and V three linear
    maps of the tokens, and a fourth map of all heads' results side by side (arXiv:1706.03762).

    Args:
        d_model: size of the last dimension, in and out; divisible by ``num_heads``.
        num_heads: heads of size d_model / num_heads.
        backend: see :class:`MultiHeadConfig`; a ``config`` has its own.
        config: all that can be chosen.

    Example:
        >>> MultiHeadSelfAttention(8, 2)(torch.zeros(1, 5, 8)).shape
        torch.Size([1, 5, 8])
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        backend: Backend = "auto",
        config: MultiHeadConfig | None = None,
    ) -> None:
        self_config = config or MultiHeadConfig(backend=backend)
        super().__init__(d_model, num_heads, self_config)
        self.config = self_config

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
        bias = None
        if self.config.window is not None or (position is not None and position.has_bias):
            queries = torch.arange(x.shape[-2], device=x.device) if positions is None else positions
            # What the cache holds stands at 0, 1, 2 ...; else the keys are the queries' tokens.
            keys = queries if cache is None else torch.arange(k.shape[-2], device=x.device)
            if position is not None and position.has_bias:
                bias = position.bias(queries, keys).to(q.dtype)
            if self.config.window is not None:
                far = queries[..., None, :, None] - keys[..., None, None, :]
                near = far.abs() < self.config.window
                if mask is None and self.config.causal:
                    mask = causal_mask(q, k)
                mask = near if mask is None else near & mask
        return self.attend(q, k, v, bias, mask, self.config.causal)

    def new_cache(self, max_length: int) -> LayerCache:
        """An empty cache for this layer, with room for so many tokens.

        Raises:
            ValueError: what is seen in both directions cannot be read token by token.
        """
        if not self.config.causal:
            raise ValueError(
                "attention.causal is false: tokens see those behind them, so that a text is read "
                "as a whole, and never with a cache"
            )
        return LayerCache(max_length)
