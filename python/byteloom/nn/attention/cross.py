"""Cross-attention: tokens of one text look at those of another."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from byteloom.nn.attention.heads import Heads, HeadsConfig


@dataclass(frozen=True)
class CrossConfig(HeadsConfig):
    """Queries from one text, keys and values from another (arXiv:1706.03762)."""

    kind: Literal["cross"] = "cross"
    """Selects this member."""

    @classmethod
    def like(cls, other: HeadsConfig) -> CrossConfig:
        """What looks at another text as ``other`` does at its own."""
        shared = {key.name: getattr(other, key.name) for key in fields(HeadsConfig)}
        return cls(**shared | {"kind": "cross"})

    def build(self, d_model: int, num_heads: int, d_memory: int | None = None) -> CrossAttention:
        """Makes the module."""
        return CrossAttention(d_model, num_heads, self, d_memory)


class MemoryCache:
    """The keys and values of a memory, computed at the first use and then used again."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None


class CrossAttention(Heads):
    """Every token looks at all of a memory, such as what an encoder made of another text.

    Args:
        d_model: size of the tokens that look, in and out.
        num_heads: heads of the queries.
        config: all that can be chosen.
        d_memory: size of the memory's vectors; ``None``: ``d_model``.

    Example:
        >>> import torch
        >>> attention, cache = CrossAttention(8, 2), MemoryCache()
        >>> x, memory = torch.zeros(1, 3, 8), torch.zeros(1, 5, 8)
        >>> attention(x, memory, cache=cache).shape
        torch.Size([1, 3, 8])
        >>> attention(x[:, :1], cache=cache).shape  # the memory is not looked at again
        torch.Size([1, 1, 8])
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        config: CrossConfig | None = None,
        d_memory: int | None = None,
    ) -> None:
        super().__init__(d_model, num_heads, config or CrossConfig(), d_memory)

    def forward(
        self,
        x: Float[Tensor, "*batch seq d_model"],
        memory: Float[Tensor, "*batch keys d_memory"] | None = None,
        mask: Bool[Tensor, "*#batch 1 #seq keys"] | None = None,
        cache: MemoryCache | None = None,
    ) -> Float[Tensor, "*batch seq d_model"]:
        """Attends.

        Args:
            x: the tokens that look.
            memory: what they look at; may be left out when the cache has it.
            mask: True where a token may attend to one of the memory: see
                :func:`~byteloom.nn.attention.padding_mask`. Who may attend to none gets zeros.
            cache: where the memory's keys and values are, or will be.
        """
        q = self.queries(x)
        if cache is not None and cache.keys is not None and cache.values is not None:
            return self.attend(q, cache.keys, cache.values, mask=mask)
        assert memory is not None, "neither a memory nor a cache that has read one"
        k, v = self.keys(memory), self.values(memory)
        if cache is not None:
            cache.keys, cache.values = k, v
        return self.attend(q, k, v, mask=mask)
