"""Layers of a transformer: a member is one file, its configuration beside the module it builds."""

from typing import TypeAlias

from byteloom.nn.block.base import Block, Parts
from byteloom.nn.block.parallel import ParallelConfig
from byteloom.nn.block.post import PostNormConfig
from byteloom.nn.block.pre import PreNormConfig, TransformerBlock
from byteloom.nn.block.reordered import ReorderedNormConfig
from byteloom.nn.block.sandwich import SandwichConfig

BlockConfig: TypeAlias = (
    PreNormConfig | PostNormConfig | SandwichConfig | ReorderedNormConfig | ParallelConfig
)

__all__ = [
    "Block",
    "BlockConfig",
    "ParallelConfig",
    "Parts",
    "PostNormConfig",
    "PreNormConfig",
    "ReorderedNormConfig",
    "SandwichConfig",
    "TransformerBlock",
]
