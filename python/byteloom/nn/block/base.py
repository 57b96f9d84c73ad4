"""One layer of a transformer: what its members share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from byteloom.nn.attention import AttentionConfig, CrossConfig, LayerState, MemoryCache
from byteloom.nn.checks import require_positive
from byteloom.nn.ffn import FeedForwardConfig
from byteloom.nn.norm import NormConfig
from byteloom.nn.position import Position

Tokens: TypeAlias = Float[Tensor, "*batch seq d_model"]
#: What a part makes of tokens, before it is added to them.
Part: TypeAlias = Callable[[Tokens], Tokens]


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
    """Part of what each adds that training sets to zero."""
    cross: CrossConfig | None = None
    """What looks at the vectors of another text, between the two; none: nothing does."""


class Block(nn.Module, ABC):
    """Attention, cross-attention if there is any, a feed-forward network: each adds to the tokens.

    A member says how.

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
        self.cross = None
        if parts.cross is not None:
            self.ln_cross = parts.norm.build(parts.d_model)
            self.cross = parts.cross.build(parts.d_model, parts.num_heads)

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
            positions: the attention's, like all up to ``mask``.
            position: likewise.
            cache: likewise.
            mask: likewise.
            memory: what cross-attention looks at; may be left out when the cache has it.
            memory_mask: True where a token may attend to one of the memory.
            memory_cache: where the memory's keys and values are, or will be.
        """
        # By the names of their norms.
        parts: dict[str, Part] = {
            "ln1": lambda x: self._scaled(self.attn(x, positions, position, cache, mask))
        }
        if self.cross is not None:
            cross = self.cross
            parts["ln_cross"] = lambda x: self._scaled(cross(x, memory, memory_mask, memory_cache))
        parts["ln2"] = lambda x: self._scaled(self.ffn(x))
        return self.combine(x, parts)

    @abstractmethod
    def combine(self, x: Tokens, parts: dict[str, Part]) -> Tokens:
        """What the member is.

        Args:
            x: the tokens.
            parts: in their order, by the names of their norms.
        """

    def _scaled(self, x: Tokens) -> Tokens:
        dropped: Tensor = self.dropout(x)
        return dropped if self.scale == 1 else dropped * self.scale


class SequentialBlock(Block):
    """One part after the other, each by the same formula; a member is the formula."""

    def combine(self, x: Tokens, parts: dict[str, Part]) -> Tokens:
        """Each sees what those before it have added to."""
        for name, part in parts.items():
            x = self.add(x, part, name)
        return x

    @abstractmethod
    def add(self, x: Tokens, part: Part, ln: str) -> Tokens:
        """The formula.

        Args:
            x: the tokens.
            part: what is added.
            ln: name of the norm that goes with it.
        """

    def normed(self, ln: str, x: Tokens) -> Tokens:
        """What the norm of this name makes of tokens."""
        found: Tokens = getattr(self, ln)(x)
        return found


@dataclass(frozen=True)
class BlockConfigBase:
    """What all blocks can be told."""

    kind: str = ""
    """Selects the member."""
    residual_scale: float = 1.0
    """What each part adds is multiplied by this."""
