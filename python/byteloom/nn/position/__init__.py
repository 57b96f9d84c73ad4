"""Positions: a member is one file, with its configuration beside the module it builds."""

from typing import TypeAlias

from byteloom.nn.position.base import Position
from byteloom.nn.position.none import NoPositionConfig
from byteloom.nn.position.rotary import RotaryConfig, RotaryEmbedding

PositionConfig: TypeAlias = RotaryConfig | NoPositionConfig

__all__ = ["NoPositionConfig", "Position", "PositionConfig", "RotaryConfig", "RotaryEmbedding"]
