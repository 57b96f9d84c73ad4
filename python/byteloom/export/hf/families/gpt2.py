"""GPT-2: learned places, one matrix of queries, keys and values, and matrices (in, out)."""

from __future__ import annotations

from typing import Any

from byteloom.export.hf.family import Family
from byteloom.export.hf.rules import (
    Always,
    Choice,
    Dropout,
    Flat,
    HeadSize,
    Only,
    Same,
    Settings,
    activations,
)


class _InnerSize:
    """``n_inner``: four times the vectors where it is missing."""

    def read(self, settings: Settings, found: Flat) -> None:
        """As it is said, or as it follows."""
        found["ffn.d_ff"] = settings.get("n_inner") or 4 * found["d_model"]

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """Always said."""
        settings["n_inner"] = config.get("ffn.d_ff")


GPT2 = Family(
    "gpt2",
    "GPT2LMHeadModel",
    (
        Same("vocab_size", "vocab_size"),
        Same("n_positions", "context_length", default=1024),
        Same("n_embd", "d_model"),
        Same("n_layer", "num_layers"),
        Same("n_head", "num_heads"),
        HeadSize(is_free=False),
        _InnerSize(),
        Same("tie_word_embeddings", "tie_embeddings", default=True),
        Always(norm__kind="layernorm", norm__bias=True, position__kind="learned"),
        Same("layer_norm_epsilon", "norm.eps", default=1e-5),
        Always(attention__bias=True, attention__output_bias=True, ffn__bias=True),
        Choice("activation_function", activations(gated=False), "gelu_new"),
        Only("scale_attn_weights", True),
        Only("scale_attn_by_inverse_layer_idx", False),
        Only("add_cross_attention", False),
        Dropout(("embd_pdrop", "resid_pdrop"), of_weights=("attn_pdrop",)),
    ),
    {
        "token_embeddings": "transformer.wte",
        "position": "transformer.wpe",
        "ln_final": "transformer.ln_f",
        "lm_head": "lm_head",
        "layers.#.ln1": "transformer.h.#.ln_1",
        "layers.#.ln2": "transformer.h.#.ln_2",
        "layers.#.attn.q_proj": "transformer.h.#.attn.c_attn",
        "layers.#.attn.k_proj": "transformer.h.#.attn.c_attn",
        "layers.#.attn.v_proj": "transformer.h.#.attn.c_attn",
        "layers.#.attn.output_proj": "transformer.h.#.attn.c_proj",
        "layers.#.ffn.w1": "transformer.h.#.mlp.c_fc",
        "layers.#.ffn.w2": "transformer.h.#.mlp.c_proj",
    },
    transposed=frozenset({"c_attn", "c_proj", "c_fc"}),
)
