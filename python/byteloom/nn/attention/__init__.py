"""Attention: a member is one file, with its configuration beside the module it builds."""

from typing import TypeAlias

from byteloom.nn.attention.cache import Cache, LayerCache
from byteloom.nn.attention.cross import CrossAttention, CrossConfig, MemoryCache
from byteloom.nn.attention.linear import LinearAttention, LinearConfig
from byteloom.nn.attention.mask import document_mask, document_places, padding_mask, prefix_mask
from byteloom.nn.attention.multi_head import MultiHeadConfig, MultiHeadSelfAttention
from byteloom.nn.attention.sparse import SparseConfig, SparseSelfAttention
from byteloom.nn.attention.state import LayerState

AttentionConfig: TypeAlias = MultiHeadConfig | LinearConfig | SparseConfig

__all__ = [
    "AttentionConfig",
    "Cache",
    "CrossAttention",
    "CrossConfig",
    "LayerCache",
    "LayerState",
    "LinearAttention",
    "LinearConfig",
    "MemoryCache",
    "MultiHeadConfig",
    "MultiHeadSelfAttention",
    "SparseConfig",
    "SparseSelfAttention",
    "document_mask",
    "document_places",
    "padding_mask",
    "prefix_mask",
]
