"""StarCoder 2 (arXiv:2402.19173): rotary positions in a GPT-2, so to speak."""

from __future__ import annotations

from byteloom.export.hf.families.common import NAMES, sizes
from byteloom.export.hf.family import Family
from byteloom.export.hf.layers import OneWindow
from byteloom.export.hf.rotary import Rotary
from byteloom.export.hf.rules import Always, Choice, Dropout, HeadSize, Same, activations

STARCODER2 = Family(
    "starcoder2",
    "Starcoder2ForCausalLM",
    (
        *sizes(HeadSize(is_free=False), kv_heads=2, tied=True, context=4096),
        Always(norm__kind="layernorm", norm__bias=True),
        Same("norm_epsilon", "norm.eps", default=1e-5),
        Rotary(),
        Same("use_bias", "attention.bias", "attention.output_bias", "ffn.bias", default=True),
        Choice("hidden_act", activations(gated=False), "gelu_pytorch_tanh"),
        OneWindow(),
        Dropout(("embedding_dropout", "residual_dropout"), of_weights=("attention_dropout",)),
    ),
    {
        **NAMES,
        "layers.#.ffn.w1": "model.layers.#.mlp.c_fc",
        "layers.#.ffn.w2": "model.layers.#.mlp.c_proj",
    },
)
