"""Normalisation: a member is one file, with its configuration beside the module it builds."""

from typing import TypeAlias

from byteloom.nn.norm.layernorm import LayerNorm, LayerNormConfig
from byteloom.nn.norm.none import NoNormConfig
from byteloom.nn.norm.rmsnorm import RMSNorm, RMSNormConfig

NormConfig: TypeAlias = RMSNormConfig | LayerNormConfig | NoNormConfig

__all__ = ["LayerNorm", "LayerNormConfig", "NoNormConfig", "NormConfig", "RMSNorm", "RMSNormConfig"]
