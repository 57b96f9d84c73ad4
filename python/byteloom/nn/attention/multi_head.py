"""Multi-head self-attention."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Bool, Int
from torch import Tensor

from byteloom.nn.attention.cache import LayerCache
from byteloom.nn.attention.heads import HeadsConfig
from byteloom.nn.attention.self_attention import SelfAttention
from byteloom.nn.attention.window_cache import WindowCache
from byteloom.nn.checks import require_positive_if_given
from byteloom.nn.functional import Backend


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


class MultiHeadSelfAttention(SelfAttention):
    """Every token looks at itself and those before it, in ``num_heads`` ways at once.

    Written out, for each head: softmax(Q K^T / sqrt(d_head) + mask) V, with Q, K and V three linear
    maps of the tokens, and a fourth map of all heads' results side by side (arXiv:1706.03762).

    Args:
        d_model: size of the last dimension, in and out; divisible by ``num_heads``.
        num_heads: heads of size d_model / num_heads.
        backend: see :class:`MultiHeadConfig`; a ``config`` has its own.
        config: all that can be chosen.

    Example:
        >>> import torch
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
        chosen = config or MultiHeadConfig(backend=backend)
        super().__init__(d_model, num_heads, chosen)
        self.config, self.causal = chosen, chosen.causal
        self.is_local = chosen.window is not None

    def near(
        self, queries: Int[Tensor, "*batch q 1"], keys: Int[Tensor, "*batch 1 k"]
    ) -> Bool[Tensor, "*batch q k"]:
        """In the window."""
        assert self.config.window is not None
        return (queries - keys).abs() < self.config.window

    def new_cache(self, max_length: int) -> LayerCache:
        """An empty cache for this layer, which keeps no more than the window shows.

        Raises:
            ValueError: what is seen in both directions cannot be read token by token.
        """
        cache, window = super().new_cache(max_length), self.config.window
        return cache if window is None else WindowCache(max_length, window)
