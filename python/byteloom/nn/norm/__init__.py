"""Normalisation: a member is one file, with its configuration beside the module it builds."""

from typing import TypeAlias

from byteloom.nn.norm.layernorm import LayerNorm, LayerNormConfig
from byteloom.nn.norm.rmsnorm import RMSNorm, RMSNormConfig

NormConfig: TypeAlias = RMSNormConfig | LayerNormConfig

__all__ = ["LayerNorm", "LayerNormConfig", "NormConfig", "RMSNorm", "RMSNormConfig"]
