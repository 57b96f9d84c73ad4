"""Mixtures of experts: Mixtral (arXiv:2401.04088), Qwen 2's and Qwen 3's."""

from __future__ import annotations

from byteloom.export.hf.experts import EXPERT, DenseLayers, NumExperts, SharedExpert
from byteloom.export.hf.families.common import ATTENTION_BIAS, NAMES, RMS, sizes
from byteloom.export.hf.family import Family
from byteloom.export.hf.layers import OneWindow
from byteloom.export.hf.rotary import Rotary
from byteloom.export.hf.rules import Always, HeadSize, Only, Same

_EXPERTS = Always(ffn__kind="experts")

MIXTRAL = Family(
    "mixtral",
    "MixtralForCausalLM",
    (
        *sizes(HeadSize(), kv_heads=8, context=4096 * 32, inner="ffn.expert.d_ff"),
        RMS,
        Same("rms_norm_eps", "norm.eps", default=1e-5),
        Rotary(theta=1_000_000.0),
        OneWindow(),
        _EXPERTS,
        EXPERT,
        Same("num_local_experts", "ffn.num_experts", default=8),
        Same("num_experts_per_tok", "ffn.top_k", default=2),
    ),
    {
        **NAMES,
        "layers.#.ffn.router": "model.layers.#.block_sparse_moe.gate",
        "layers.#.ffn.experts.w1": "model.layers.#.block_sparse_moe.experts.*.w1",
        "layers.#.ffn.experts.w2": "model.layers.#.block_sparse_moe.experts.*.w2",
        "layers.#.ffn.experts.w3": "model.layers.#.block_sparse_moe.experts.*.w3",
    },
)

_QWEN_NAMES = {
    **NAMES,
    "layers.#.ffn.router": "model.layers.#.mlp.gate",
    "layers.#.ffn.experts.w1": "model.layers.#.mlp.experts.*.gate_proj",
    "layers.#.ffn.experts.w2": "model.layers.#.mlp.experts.*.down_proj",
    "layers.#.ffn.experts.w3": "model.layers.#.mlp.experts.*.up_proj",
}

QWEN2_MOE = Family(
    "qwen2_moe",
    "Qwen2MoeForCausalLM",
    (
        *sizes(HeadSize(is_free=False), kv_heads=16, context=32768, inner=None),
        RMS,
        Same("rms_norm_eps", "norm.eps", default=1e-6),
        Rotary(),
        Same("qkv_bias", "attention.bias", default=True),
        # Its windows are those of every other layer of the first so many.
        Only("use_sliding_window", False),
        _EXPERTS,
        EXPERT,
        NumExperts(default=60),
        Same("num_experts_per_tok", "ffn.top_k", default=4),
        Same("norm_topk_prob", "ffn.normalise", default=False),
        Same("moe_intermediate_size", "ffn.expert.d_ff", default=1408),
        DenseLayers(),
        Always(ffn__shared_gate=True),
        SharedExpert(default=5632),
    ),
    {
        **_QWEN_NAMES,
        "layers.#.ffn.shared.w1": "model.layers.#.mlp.shared_expert.gate_proj",
        "layers.#.ffn.shared.w2": "model.layers.#.mlp.shared_expert.down_proj",
        "layers.#.ffn.shared.w3": "model.layers.#.mlp.shared_expert.up_proj",
        "layers.#.ffn.shared_gate": "model.layers.#.mlp.shared_expert_gate",
    },
    overrules_tokenizers=True,
)

QWEN3_MOE = Family(
    "qwen3_moe",
    "Qwen3MoeForCausalLM",
    (
        *sizes(HeadSize(), kv_heads=4, context=32768, inner=None),
        RMS,
        Always(attention__qk_norm__kind="rmsnorm"),
        Same("rms_norm_eps", "norm.eps", "attention.qk_norm.eps", default=1e-6),
        Rotary(),
        ATTENTION_BIAS,
        OneWindow(default=4096, switch=True),
        _EXPERTS,
        EXPERT,
        NumExperts(default=128),
        Same("num_experts_per_tok", "ffn.top_k", default=8),
        Same("norm_topk_prob", "ffn.normalise", default=False),
        Same("moe_intermediate_size", "ffn.expert.d_ff", default=768),
        DenseLayers(),
    ),
    _QWEN_NAMES,
)
