"""What configurations of whole models say of their layers, which need not all be alike."""

from __future__ import annotations

from dataclasses import replace

from byteloom.nn.attention import AttentionConfig, CrossConfig
from byteloom.nn.block import BlockConfig, Parts
from byteloom.nn.checks import require_part, require_positive, require_positive_if_given
from byteloom.nn.ffn import FeedForwardConfig
from byteloom.nn.norm import NormConfig
from byteloom.nn.position import Position, PositionConfig, RelativeConfig
from byteloom.nn.which_layers import require_both, require_experts, require_some


class Layered:
    """For a configuration with these keys."""

    vocab_size: int
    context_length: int
    d_model: int
    num_layers: int
    num_heads: int
    norm: NormConfig
    position: PositionConfig
    attention: AttentionConfig
    ffn: FeedForwardConfig
    block: BlockConfig
    dropout: float
    embedding_scale: float | None
    full_every: int | None
    positionless_every: int | None

    @property
    def depth(self) -> int:
        """Layers of the deepest stack."""
        return self.num_layers

    def has_equal_layers(self) -> bool:
        """Whether any layer tells what all of its stack are."""
        return not (self.full_every or self.positionless_every) and all(
            self.ffn.at(index) == self.ffn.at(0) for index in range(self.depth)
        )

    def attention_of(self, index: int) -> AttentionConfig:
        """What mixes tokens in a layer, the first of which is 0."""
        return self.attention.full() if is_each(index, self.full_every) else self.attention

    def parts_of(
        self,
        index: int,
        attention: AttentionConfig | None = None,
        cross: CrossConfig | None = None,
    ) -> Parts:
        """What a layer is made of.

        Args:
            index: its number, the first of which is 0.
            attention: what mixes tokens; ``None``: what :meth:`attention_of` says.
            cross: what looks at the vectors of another text; ``None``: nothing does.
        """
        return Parts(
            self.d_model,
            self.num_heads,
            self.attention_of(index) if attention is None else attention,
            self.ffn.at(index),
            self.norm,
            self.dropout,
            cross,
        )

    def build_position(self, length: int | None = None, causal: bool = True) -> Position:
        """Makes the position scheme that layers share.

        Args:
            length: places; ``None``: as many as the context has.
            causal: whether tokens see none behind them; if not, T5's distances have directions.
        """
        scheme = self.position
        if not causal and isinstance(scheme, RelativeConfig):
            scheme = replace(scheme, bidirectional=True)
        d_head = self.attention.head_size(self.d_model, self.num_heads)
        length = self.context_length if length is None else length
        return scheme.build(self.d_model, self.num_heads, length, d_head)

    def check_layers(self) -> None:
        """Refuses what cannot be, or cannot be together; on the meta device it takes no memory.

        Raises:
            ValueError: naming the key, and why.
        """
        for key in ("vocab_size", "context_length", "d_model", "num_layers", "num_heads"):
            require_positive(key, getattr(self, key))
        for key in ("full_every", "positionless_every", "embedding_scale"):
            require_positive_if_given(**{key: getattr(self, key)})
        require_part("dropout", self.dropout)
        for key in ("full_every", "positionless_every"):
            require_some(key, getattr(self, key), self.depth)
        require_both(self.full_every, self.attention)
        require_experts(self.ffn, self.depth)
        position = self.build_position()
        if self.positionless_every is not None and not position.acts_in_layers:
            raise ValueError(
                f"positionless_every is {self.positionless_every}, but position.kind "
                f"{self.position.kind} tells no layer of places that it could go without"
            )
        if position.has_bias and not self.attention.takes_bias:
            raise ValueError(
                f"position.kind {self.position.kind} adds to scores, and attention.kind "
                f"{self.attention.kind} has none: choose another, such as rotary"
            )
        self.ffn.build(self.d_model)  # which the first block need not have


def is_each(index: int, n: int | None) -> bool:
    """Whether the layer, the first of which is 0, is an n-th one.

    Example:
        >>> [i for i in range(7) if is_each(i, 3)]
        [2, 5]
    """
    return n is not None and (index + 1) % n == 0
