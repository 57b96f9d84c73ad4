"""Gemma (arXiv:2403.08295) and Gemma 2 (arXiv:2408.00118)."""

from __future__ import annotations

import math
from typing import Any

from byteloom.export.hf.families.common import ATTENTION_BIAS, NAMES, RMS, sizes
from byteloom.export.hf.family import Family
from byteloom.export.hf.layers import Windows
from byteloom.export.hf.rotary import Rotary
from byteloom.export.hf.rules import Always, Choice, Flat, Formula, HeadSize, Only, Same, Settings

_TANH = {"ffn.kind": "geglu", "ffn.approximate": "tanh"}


class _RootScale:
    """Embeddings are multiplied by sqrt(d_model), always."""

    def read(self, settings: Settings, found: Flat) -> None:
        """The root."""
        found["embedding_scale"] = math.sqrt(found["d_model"])

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """Nothing: there is no setting."""


_SHARED = (
    RMS,
    Always(norm__unit_offset=True),
    Same("rms_norm_eps", "norm.eps", default=1e-6),
    _RootScale(),
    Rotary(),
    ATTENTION_BIAS,
    Only("use_bidirectional_attention", None),
)

GEMMA = Family(
    "gemma",
    "GemmaForCausalLM",
    (
        *sizes(HeadSize(default=256), kv_heads=16, tied=True, context=8192),
        *_SHARED,
        # What old files call "gelu" was computed by the tanh all the same.
        Choice("hidden_act", {"gelu_pytorch_tanh": _TANH, "gelu": _TANH}, "gelu_pytorch_tanh"),
    ),
    NAMES,
)

GEMMA2 = Family(
    "gemma2",
    "Gemma2ForCausalLM",
    (
        *sizes(HeadSize(shares_evenly=True, default=256), kv_heads=4, tied=True, context=8192),
        *_SHARED,
        Always(block__kind="sandwich"),
        Choice("hidden_activation", {"gelu_pytorch_tanh": _TANH}, "gelu_pytorch_tanh"),
        Windows(every=2, always=True),
        Formula(
            "query_pre_attn_scalar",
            "attention.scale",
            lambda scalar: scalar**-0.5,
            lambda scale: round(scale**-2),  # transformers wants an integer
            256,
        ),
        Same("attn_logit_softcapping", "attention.soft_cap", default=50.0),
        Same("final_logit_softcapping", "logit_soft_cap", default=30.0),
    ),
    {
        **NAMES,
        "layers.#.ln1_out": "model.layers.#.post_attention_layernorm",
        "layers.#.ln2": "model.layers.#.pre_feedforward_layernorm",
        "layers.#.ln2_out": "model.layers.#.post_feedforward_layernorm",
    },
)
