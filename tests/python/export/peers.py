"""Tiny models of transformers, of every architecture that byteloom knows, weights by chance."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from typing import Any

import torch
import transformers

VOCAB, CONTEXT = 40, 32

SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
}

#: Name of a test -> (model_type, settings beside the sizes).
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", {"n_positions": CONTEXT, "n_embd": 32, "n_layer": 2, "n_head": 4}),
    "gpt2, untied, another size and activation": (
        "gpt2",
        {"n_positions": CONTEXT, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 56}
        | {"activation_function": "gelu", "tie_word_embeddings": False},
    ),
    "llama2": ("llama", {"num_key_value_heads": 4}),
    "llama3": (
        "llama",
        {"rope_parameters": {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0}}
        | {"rms_norm_eps": 1e-5, "tie_word_embeddings": True},
    ),
    "llama with biases and heads of another size": (
        "llama",
        {"attention_bias": True, "mlp_bias": True, "head_dim": 12, "hidden_act": "gelu"},
    ),
    "llama, stretched": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}},
    ),
    "llama with yarn": (
        "llama",
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}},
    ),
    # Numbers with which some pairs are kept, some divided, and some are between.
    "llama with all of yarn": (
        "llama",
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10.0, "factor": 4.0}},
    ),
    "mistral": ("mistral", {"sliding_window": 5}),
    "ministral": (
        "ministral",
        {"sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"] * 2}
        | {"head_dim": 8},
    ),
    "qwen2": ("qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    "qwen2 with windows": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 0},
    ),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "smollm3": ("smollm3", {"pad_token_id": None}),
    "granite": (
        "granite",
        {"embedding_multiplier": 3.0, "residual_multiplier": 0.3, "logits_scaling": 7.0}
        | {"attention_multiplier": 0.2},
    ),
    "olmo2": ("olmo2", {"rms_norm_eps": 1e-6}),
    "gemma": ("gemma", {"head_dim": 12}),
    "gemma2": ("gemma2", {"head_dim": 12, "sliding_window": 5, "query_pre_attn_scalar": 20}),
    "command-r": ("cohere", {"rope_parameters": {"rope_type": "default", "rope_theta": 8e6}}),
    "command-r7b": ("cohere2", {"sliding_window": 5, "logit_scale": 0.25}),
    "nanochat": ("nanochat", {"num_key_value_heads": 4}),
    "starcoder2": ("starcoder2", {"sliding_window": 5}),
    "mixtral": ("mixtral", {"num_local_experts": 5}),
    "mixtral with a window": ("mixtral", {"sliding_window": 5, "hidden_act": "gelu"}),
    "qwen2-moe": (
        "qwen2_moe",
        {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
        | {"shared_expert_intermediate_size": 24, "mlp_only_layers": [0]},
    ),
    "qwen3-moe": (
        "qwen3_moe",
        {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 16}
        | {"norm_topk_prob": True, "head_dim": 16},
    ),
    "qwen3-moe, dense layers between": (
        "qwen3_moe",
        {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
        | {"decoder_sparse_step": 2, "use_sliding_window": True, "sliding_window": 5},
    ),
}
for _name in ("llama3", "llama with yarn"):
    PEERS[_name][1]["rope_parameters"]["original_max_position_embeddings"] = 16
PEERS["llama with all of yarn"][1]["rope_parameters"] |= {
    "original_max_position_embeddings": 64,
    "beta_fast": 4.0,
    "beta_slow": 0.5,
    "mscale": 2.0,
    "mscale_all_dim": 0.5,
}
PEERS["llama3"][1]["rope_parameters"] |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}


def make_peer(name: str, **over: Any) -> Any:
    """One of them, in evaluation mode: every weight counts, gains and biases among them."""
    model_type, more = PEERS[name]
    sizes = {"vocab_size": VOCAB} if model_type == "gpt2" else SIZES
    none = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    config = transformers.AutoConfig.for_model(model_type, **{**sizes, **none, **more, **over})
    # The only way of computing attention that knows soft caps.
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    by_chance(model)
    return model.eval()


def by_chance(model: torch.nn.Module) -> None:
    """Gives a model weights by chance."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            noise = torch.randn(p.shape, generator=generator)
            # Gains stay near what they began with.
            p.copy_(p + 0.3 * noise if p.ndim == 1 else noise * 0.3)


def ids(batch: int = 2, seq: int = 20) -> torch.Tensor:
    """Some text."""
    return torch.randint(VOCAB, (batch, seq), generator=torch.Generator().manual_seed(1))
