"""What a decoder that looks at an encoder's vectors keeps from token to token."""

from __future__ import annotations

from jaxtyping import Bool
from torch import Tensor

from byteloom.nn.attention import Cache, MemoryCache


class DecoderCache(Cache):
    """What a decoder has read and written so far: keys and values of its tokens and its memory.

    Args:
        own: the caches of its self-attention.
        real: True where the memory has a token; ``None``: everywhere.
    """

    def __init__(self, own: Cache, real: Bool[Tensor, "batch memory"] | None = None) -> None:
        super().__init__(own.layers)
        self.memories = [MemoryCache() for _ in own.layers]
        self.real = real
