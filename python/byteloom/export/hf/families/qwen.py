"""Qwen 2 (arXiv:2407.10671) with biases, Qwen 3 (arXiv:2505.09388) with norms in their stead."""

from __future__ import annotations

from byteloom.export.hf.families.common import ATTENTION_BIAS, GATED, NAMES, RMS, sizes
from byteloom.export.hf.family import Family
from byteloom.export.hf.layers import Windows
from byteloom.export.hf.rotary import Rotary
from byteloom.export.hf.rules import Always, HeadSize, Same

QWEN2 = Family(
    "qwen2",
    "Qwen2ForCausalLM",
    (
        *sizes(HeadSize(), kv_heads=32, context=32768),
        RMS,
        Same("rms_norm_eps", "norm.eps", default=1e-6),
        Rotary(),
        Always(attention__bias=True),
        GATED,
        Windows(switch=True),
    ),
    NAMES,
    overrules_tokenizers=True,
)

QWEN3 = Family(
    "qwen3",
    "Qwen3ForCausalLM",
    (
        *sizes(HeadSize(default=128), kv_heads=32, context=32768),
        RMS,
        Always(attention__qk_norm__kind="rmsnorm"),
        Same("rms_norm_eps", "norm.eps", "attention.qk_norm.eps", default=1e-6),
        Rotary(),
        ATTENTION_BIAS,
        GATED,
        Windows(switch=True),
    ),
    NAMES,
)
