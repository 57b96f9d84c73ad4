"""Llama (arXiv:2302.13971), and those that add a setting or two."""

from __future__ import annotations

from byteloom.export.hf.families.common import ATTENTION_BIAS, GATED, NAMES, RMS, sizes
from byteloom.export.hf.family import Family
from byteloom.export.hf.layers import OneWindow, Positionless, Windows
from byteloom.export.hf.rotary import Rotary
from byteloom.export.hf.rules import Formula, HeadSize, Same

_EPS = Same("rms_norm_eps", "norm.eps", default=1e-6)
_MLP_BIAS = Same("mlp_bias", "ffn.bias", default=False)

LLAMA = Family(
    "llama",
    "LlamaForCausalLM",
    (
        *sizes(HeadSize(shares_evenly=True)),
        RMS,
        _EPS,
        Rotary(),
        ATTENTION_BIAS,
        _MLP_BIAS,
        GATED,
    ),
    NAMES,
)

#: Mistral 7B (arXiv:2310.06825): all layers see through a window.
MISTRAL = Family(
    "mistral",
    "MistralForCausalLM",
    (
        *sizes(HeadSize(), kv_heads=8, context=4096 * 32),
        RMS,
        _EPS,
        Rotary(),
        GATED,
        OneWindow(default=4096),
    ),
    NAMES,
)

#: Ministral 8B: some layers see through a window, the others see all.
MINISTRAL = Family(
    "ministral",
    "MinistralForCausalLM",
    (
        *sizes(HeadSize(), kv_heads=8, context=4096 * 32),
        RMS,
        _EPS,
        Rotary(),
        GATED,
        Windows(),
    ),
    NAMES,
)

#: SmolLM3: some layers are told no places (arXiv:2501.18795).
SMOLLM3 = Family(
    "smollm3",
    "SmolLM3ForCausalLM",
    (
        *sizes(HeadSize(), kv_heads=4, tied=True, context=32768),
        RMS,
        _EPS,
        Rotary(theta=2_000_000.0),
        ATTENTION_BIAS,
        _MLP_BIAS,
        GATED,
        Positionless(),
    ),
    NAMES,
)

#: Granite 3: scales of embeddings, scores, what layers add, and logits.
GRANITE = Family(
    "granite",
    "GraniteForCausalLM",
    (
        *sizes(HeadSize(is_free=False)),
        RMS,
        _EPS,
        Rotary(),
        ATTENTION_BIAS,
        _MLP_BIAS,
        GATED,
        Same("embedding_multiplier", "embedding_scale", default=1.0),
        Same("residual_multiplier", "block.residual_scale", default=1.0),
        Same("attention_multiplier", "attention.scale", default=1.0),
        Formula("logits_scaling", "logit_scale", lambda x: 1 / x, lambda x: 1 / x, 1.0),
    ),
    NAMES,
)
