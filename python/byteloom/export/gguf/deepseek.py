"""DeepSeekMoE and its followers: first layers without experts, an expert for all tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from byteloom.export.gguf.architecture import other_epsilon, own_head_size
from byteloom.export.gguf.experts import (
    FIXED,
    FREE,
    HEAD_NORMS,
    QK_NORM,
    SHARED,
    Mixtral,
    experts,
    experts_begin,
    settings,
    shared_size,
)
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import Block

#: llama.cpp's numbers of what makes scores of logits.
_GATES = {"softmax": 1, "sigmoid": 2, "softmax_top_k": 3}


class DeepSeek(Mixtral):
    """DeepSeekMoE (arXiv:2401.06066): first layers without experts, and a shared one."""

    name = "deepseek"
    normalises = False
    fixed: ClassVar[Mapping[str, Any]] = {
        **FIXED,
        "ffn.gate": "softmax",
        "ffn.shared.kind": "swiglu",
    }
    free = FREE | SHARED | {"attention.d_head", "ffn.first_dense"}

    def more_problems(self, config: ModelConfig) -> list[str]:
        """Heads share the width; the shared expert is as large as some of the others."""
        found, ffn = super().more_problems(config) + own_head_size(config), settings(config)
        assert ffn.shared is not None
        with torch.device("meta"):
            sizes = [len(one.build(config.d_model).w1.weight) for one in (ffn.shared, ffn.expert)]
        if sizes[0] % sizes[1]:
            found.append(f"ffn.shared.d_ff is {sizes[0]}, no multiple of ffn.expert.d_ff")
        return found

    def keys(self, model: TransformerLM) -> dict[str, int | float]:
        """With the layers without experts; the shared one counts as some of the others."""
        inner = experts(model).experts.w1.weight.shape[1]
        return super().keys(model) | {
            "leading_dense_block_count": experts_begin(model),
            "expert_shared_count": shared_size(model) // inner,
            "expert_weights_scale": 1.0,
        }


class Ernie(Mixtral):
    """ERNIE 4.5: as Mixtral; also with a shared expert, first layers without, a balance bias."""

    name = "ernie4_5-moe"
    free = (
        FREE
        | SHARED
        | {"attention.d_head", "attention.bias"}
        | {"ffn.first_dense", "ffn.shared", "ffn.shared.kind", "ffn.balance_rate"}
    )

    def more_problems(self, config: ModelConfig) -> list[str]:
        """The bias is added to shares, not to logits."""
        found, ffn = super().more_problems(config), settings(config)
        if ffn.balance_rate is not None and ffn.gate != "softmax":
            found.append(f"ffn.gate is {ffn.gate!r}, not 'softmax', with ffn.balance_rate")
        return found

    def keys(self, model: TransformerLM) -> dict[str, int | float]:
        """With the layers without experts, and the shared one's size."""
        return super().keys(model) | {
            "leading_dense_block_count": experts_begin(model),
            "interleave_moe_layer_step": 1,
            "expert_shared_feed_forward_length": shared_size(model),
        }


class Ling2(Mixtral):
    """Ling 2.0, after DeepSeek-V3 (arXiv:2412.19437): any gate, groups, a balance bias."""

    name = "bailingmoe2"
    layout = "half"
    own_output = True
    normalises = None
    has_groups = True
    fixed: ClassVar[Mapping[str, Any]] = {
        **FIXED,
        **HEAD_NORMS,
        "ffn.gate": tuple(_GATES),
        "ffn.shared.kind": "swiglu",
    }
    free = FREE | SHARED | QK_NORM | {"attention.d_head", "ffn.first_dense", "ffn.balance_rate"}

    def more_problems(self, config: ModelConfig) -> list[str]:
        """Heads share the width; one epsilon for all norms."""
        return super().more_problems(config) + own_head_size(config) + other_epsilon(config)

    def keys(self, model: TransformerLM) -> dict[str, int | float]:
        """With how experts are chosen."""
        ffn = experts(model).config
        groups: dict[str, int | float] = {}
        if ffn.top_groups < ffn.num_groups:
            groups = {
                "expert_group_count": ffn.num_groups,
                "expert_group_used_count": ffn.top_groups,
            }
        return super().keys(model) | {
            "leading_dense_block_count": experts_begin(model),
            "expert_shared_count": 1,
            "expert_shared_feed_forward_length": shared_size(model),
            "expert_gating_func": _GATES[ffn.gate],
            "expert_weights_norm": ffn.normalise,
            **groups,
        }

    def attention(self, model: TransformerLM, layer: Block) -> dict[str, Tensor]:
        """Queries, keys and values in one map."""
        found = super().attention(model, layer)
        parts = [found.pop(f"attn_{part}.weight") for part in "qkv"]
        return {"attn_qkv.weight": torch.cat(parts), **found}
