"""Names and rules that most architectures share, which are Llama's."""

from __future__ import annotations

from collections.abc import Sequence

from byteloom.export.hf.rules import Always, Choice, HeadSize, Rule, Same, activations

NAMES = {
    "token_embeddings": "model.embed_tokens",
    "ln_final": "model.norm",
    "lm_head": "lm_head",
    "layers.#.ln1": "model.layers.#.input_layernorm",
    "layers.#.ln2": "model.layers.#.post_attention_layernorm",
    "layers.#.attn.q_proj": "model.layers.#.self_attn.q_proj",
    "layers.#.attn.k_proj": "model.layers.#.self_attn.k_proj",
    "layers.#.attn.v_proj": "model.layers.#.self_attn.v_proj",
    "layers.#.attn.output_proj": "model.layers.#.self_attn.o_proj",
    "layers.#.attn.q_norm": "model.layers.#.self_attn.q_norm",
    "layers.#.attn.k_norm": "model.layers.#.self_attn.k_norm",
    "layers.#.ffn.w1": "model.layers.#.mlp.gate_proj",
    "layers.#.ffn.w2": "model.layers.#.mlp.down_proj",
    "layers.#.ffn.w3": "model.layers.#.mlp.up_proj",
}

#: Both maps of attention have biases, or neither.
ATTENTION_BIAS = Same("attention_bias", "attention.bias", "attention.output_bias", default=False)
RMS = Always(norm__kind="rmsnorm")
GATED = Choice("hidden_act", activations(gated=True), "silu")


def sizes(
    head: HeadSize,
    *,
    kv_heads: int | None = None,
    tied: bool = False,
    context: int = 2048,
    inner: str | None = "ffn.d_ff",
) -> Sequence[Rule]:
    """The sizes.

    Args:
        head: of a head.
        kv_heads: heads of keys and values where it is not said; none: as many as of queries.
        tied: whether embeddings are tied where it is not said.
        context: the longest text where it is not said.
        inner: our key of the feed-forward networks' inner size; none: another rule's business.
    """
    return (
        Same("vocab_size", "vocab_size"),
        Same("hidden_size", "d_model"),
        Same("num_hidden_layers", "num_layers"),
        Same("num_attention_heads", "num_heads"),
        Same("max_position_embeddings", "context_length", default=context),
        Same("num_key_value_heads", "attention.num_kv_heads", default=kv_heads),
        head,
        *(() if inner is None else (Same("intermediate_size", inner),)),
        Same("tie_word_embeddings", "tie_embeddings", default=tied),
    )
