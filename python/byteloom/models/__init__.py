"""Whole models: a member is one file with its configuration. The decoder is ``byteloom.model``."""

from typing import TypeAlias

from byteloom.model import ModelConfig, TransformerLM
from byteloom.models.encoder import Encoder, EncoderConfig
from byteloom.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig

#: The first is meant where a configuration says no kind.
AnyModelConfig: TypeAlias = ModelConfig | EncoderConfig | EncoderDecoderConfig
AnyModel: TypeAlias = TransformerLM | Encoder | EncoderDecoder

__all__ = [
    "AnyModel",
    "AnyModelConfig",
    "Encoder",
    "EncoderConfig",
    "EncoderDecoder",
    "EncoderDecoderConfig",
    "ModelConfig",
    "TransformerLM",
]
