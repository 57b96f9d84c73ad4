"""Attention: a member is one file, with its configuration beside the module it builds."""

from typing import TypeAlias

from byteloom.nn.attention.cache import Cache, LayerCache
from byteloom.nn.attention.multi_head import (
    MultiHeadConfig,
    MultiHeadSelfAttention,
    document_mask,
)

#: One member so far; more make it a union.
AttentionConfig: TypeAlias = MultiHeadConfig

__all__ = [
    "AttentionConfig",
    "Cache",
    "LayerCache",
    "MultiHeadConfig",
    "MultiHeadSelfAttention",
    "document_mask",
]
