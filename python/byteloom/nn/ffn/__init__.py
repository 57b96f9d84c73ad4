"""Feed-forward networks: a member is one file, its configuration beside the module it builds."""

from typing import TypeAlias

from byteloom.nn.ffn.silu import SiLUFeedForward, SiLUFeedForwardConfig
from byteloom.nn.ffn.swiglu import SwiGLU, SwiGLUConfig

FeedForwardConfig: TypeAlias = SwiGLUConfig | SiLUFeedForwardConfig

__all__ = [
    "FeedForwardConfig",
    "SiLUFeedForward",
    "SiLUFeedForwardConfig",
    "SwiGLU",
    "SwiGLUConfig",
]
