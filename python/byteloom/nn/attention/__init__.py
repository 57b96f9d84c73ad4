"""Attention: a member is one file, with its configuration beside the module it builds."""

from typing import TypeAlias

from byteloom.nn.attention.cache import Cache, LayerCache
from byteloom.nn.attention.cross import CrossAttention, CrossConfig, MemoryCache
from byteloom.nn.attention.mask import document_mask, padding_mask, prefix_mask
from byteloom.nn.attention.multi_head import MultiHeadConfig, MultiHeadSelfAttention
from byteloom.nn.attention.state import LayerState

#: One member so far; more make it a union.
AttentionConfig: TypeAlias = MultiHeadConfig

__all__ = [
    "AttentionConfig",
    "Cache",
    "CrossAttention",
    "CrossConfig",
    "LayerCache",
    "LayerState",
    "MemoryCache",
    "MultiHeadConfig",
    "MultiHeadSelfAttention",
    "document_mask",
    "padding_mask",
    "prefix_mask",
]
