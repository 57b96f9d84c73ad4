"""Positions: a member is one file, with its configuration beside the module it builds."""

from typing import TypeAlias

from byteloom.nn.position.alibi import ALiBiConfig
from byteloom.nn.position.base import Position
from byteloom.nn.position.learned import LearnedConfig
from byteloom.nn.position.none import NoPositionConfig
from byteloom.nn.position.relative import RelativeConfig
from byteloom.nn.position.rotary import RotaryConfig, RotaryEmbedding
from byteloom.nn.position.sinusoidal import SinusoidalConfig

PositionConfig: TypeAlias = (
    RotaryConfig
    | LearnedConfig
    | SinusoidalConfig
    | ALiBiConfig
    | RelativeConfig
    | NoPositionConfig
)

__all__ = [
    "ALiBiConfig",
    "LearnedConfig",
    "NoPositionConfig",
    "Position",
    "PositionConfig",
    "RelativeConfig",
    "RotaryConfig",
    "RotaryEmbedding",
    "SinusoidalConfig",
]
