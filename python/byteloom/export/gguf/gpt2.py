"""GPT-2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from byteloom.export.gguf.architecture import Architecture, own_head_size
from byteloom.export.gguf.layout import linear, norm, zero_biases
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import Block


class GPT2(Architecture):
    """GPT-2 (Radford et al. 2019): biases everywhere, which are zeros where a model has none."""

    name = "gpt2"
    layout = "interleaved"
    norm_key = "attention.layer_norm_epsilon"
    fixed: ClassVar[Mapping[str, Any]] = {
        "attention.kind": "multi_head",
        "position.kind": "learned",
        "norm.kind": "layernorm",
        "ffn.kind": "gelu",
        "ffn.approximate": "tanh",
        "block.kind": "pre",
    }
    free = frozenset(
        {
            *("norm.eps", "norm.bias", "ffn.bias", "attention.bias", "attention.output_bias"),
            *("attention.d_head", "attention.scale", "block.residual_scale"),
            *("tie_embeddings", "embedding_scale", "logit_scale"),
        }
    )

    def more_problems(self, config: ModelConfig) -> list[str]:
        """Heads share the width."""
        return own_head_size(config)

    def tensors(self, model: TransformerLM) -> dict[str, Tensor]:
        """With the positions' vectors, and all biases."""
        places = linear(model.position, "position_embd")
        return zero_biases(super().tensors(model) | places)

    def block(self, model: TransformerLM, layer: Block) -> dict[str, Tensor]:
        """Queries, keys and values are one map."""
        found = self.attention(model, layer)
        for kind in ("weight", "bias"):
            maps = [found.pop(f"attn_{one}.{kind}", None) for one in "qkv"]
            if maps[0] is not None:
                found[f"attn_qkv.{kind}"] = torch.cat([m for m in maps if m is not None])
        return {
            **norm(layer.ln1, "attn_norm"),
            **found,
            **norm(layer.ln2, "ffn_norm"),
            **linear(layer.get_submodule("ffn.w1"), "ffn_up"),
            **linear(layer.get_submodule("ffn.w2"), "ffn_down", layer.scale),
        }
