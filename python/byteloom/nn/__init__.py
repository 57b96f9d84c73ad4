"""The layers, every one written out: from functions to the transformer block."""

from byteloom.nn import functional
from byteloom.nn.attention import (
    AttentionConfig,
    Cache,
    LayerCache,
    MultiHeadConfig,
    MultiHeadSelfAttention,
)
from byteloom.nn.block import TransformerBlock
from byteloom.nn.embedding import Embedding
from byteloom.nn.ffn import (
    FeedForwardConfig,
    SiLUFeedForward,
    SiLUFeedForwardConfig,
    SwiGLU,
    SwiGLUConfig,
)
from byteloom.nn.linear import Linear
from byteloom.nn.norm import LayerNorm, LayerNormConfig, NormConfig, RMSNorm, RMSNormConfig
from byteloom.nn.position import (
    NoPositionConfig,
    Position,
    PositionConfig,
    RotaryConfig,
    RotaryEmbedding,
)

__all__ = [
    "AttentionConfig",
    "Cache",
    "Embedding",
    "FeedForwardConfig",
    "LayerCache",
    "LayerNorm",
    "LayerNormConfig",
    "Linear",
    "MultiHeadConfig",
    "MultiHeadSelfAttention",
    "NoPositionConfig",
    "NormConfig",
    "Position",
    "PositionConfig",
    "RMSNorm",
    "RMSNormConfig",
    "RotaryConfig",
    "RotaryEmbedding",
    "SiLUFeedForward",
    "SiLUFeedForwardConfig",
    "SwiGLU",
    "SwiGLUConfig",
    "TransformerBlock",
    "functional",
]
