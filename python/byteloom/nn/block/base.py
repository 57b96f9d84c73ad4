"""One layer of a transformer: what its members share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeAlias

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from byteloom.nn.attention import AttentionConfig, LayerState
from byteloom.nn.checks import require_positive
from byteloom.nn.ffn import FeedForwardConfig
from byteloom.nn.norm import NormConfig
from byteloom.nn.position import Position

Tokens: TypeAlias = Float[Tensor, "*batch seq d_model"]


@dataclass(frozen=True)
class Parts:
    """What a block is made of."""

    d_model: int
    """Size of a token's vector."""
    num_heads: int
    """Attention heads."""
    attention: AttentionConfig
    """What mixes tokens."""
    ffn: FeedForwardConfig
    """What transforms each of them."""
    norm: NormConfig
    """Normalisation."""
    dropout: float = 0.0
    """Part of what either adds that training sets to zero."""


class Block(nn.Module, ABC):
    """Attention and a feed-forward network, each adding to the tokens; a member says how.

    Args:
        parts: what it is made of.
        scale: what is added is multiplied by this.
    """

    def __init__(self, parts: Parts, scale: float = 1.0) -> None:
        super().__init__()
        require_positive("residual_scale", scale)
        self.ln1 = parts.norm.build(parts.d_model)
        self.attn = parts.attention.build(parts.d_model, parts.num_heads)
        self.ln2 = parts.norm.build(parts.d_model)
        self.ffn = parts.ffn.build(parts.d_model)
        self.dropout = nn.Dropout(parts.dropout)
        self.scale = scale

    def forward(
        self,
        x: Tokens,
        positions: Int[Tensor, "*#batch seq"] | None = None,
        position: Position | None = None,
        cache: LayerState | None = None,
        mask: Bool[Tensor, "*#batch 1 #seq keys"] | None = None,
    ) -> Tokens:
        """Passes the tokens on; the arguments are the attention's."""
        return self.combine(x, positions, position, cache, mask)

    @abstractmethod
    def combine(self, x: Tokens, *how: Any) -> Tokens:
        """What the member is: ``how`` is for :meth:`mixed`."""

    def mixed(self, x: Tokens, *how: Any) -> Tokens:
        """What attention gives."""
        return self._scaled(self.attn(x, *how))

    def transformed(self, x: Tokens) -> Tokens:
        """What the feed-forward network gives."""
        return self._scaled(self.ffn(x))

    def _scaled(self, x: Tokens) -> Tokens:
        dropped: Tensor = self.dropout(x)
        return dropped if self.scale == 1 else dropped * self.scale


@dataclass(frozen=True)
class BlockConfigBase:
    """What all blocks can be told."""

    kind: str = ""
    """Selects the member."""
    residual_scale: float = 1.0
    """What attention and feed-forward network add is multiplied by this."""
