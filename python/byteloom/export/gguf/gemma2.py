"""Gemma 2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from byteloom.export.gguf.architecture import COMMON, Architecture, first, heads, settings
from byteloom.export.gguf.layout import norm
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import Block


class Gemma2(Architecture):
    """Gemma 2 (arXiv:2408.00118): norms on both sides, windows in every other layer, soft caps."""

    name = "gemma2"
    layout = "half"
    tied = True
    fixed: ClassVar[Mapping[str, Any]] = {
        **COMMON,
        "norm.kind": "rmsnorm",
        "ffn.kind": "geglu",
        "ffn.approximate": "tanh",
        "block.kind": "sandwich",
        "full_every": 2,
        "tie_embeddings": True,
    }
    free = frozenset(
        {
            *("norm.eps", "norm.unit_offset", "position.theta", "position.layout"),
            *("attention.num_kv_heads", "attention.scale", "attention.d_head"),
            *("attention.soft_cap", "attention.window", "logit_soft_cap", "embedding_scale"),
        }
    )

    def more_problems(self, config: ModelConfig) -> list[str]:
        """It has no way to say that there are no caps, or another scale."""
        problems = []
        if settings(config).soft_cap is None:
            problems.append("attention.soft_cap is missing")
        if config.logit_soft_cap is None:
            problems.append("logit_soft_cap is missing")
        wanted = math.sqrt(config.d_model)
        if not math.isclose(config.embedding_scale or 1.0, wanted, rel_tol=1e-6):
            problems.append(f"embedding_scale is {config.embedding_scale}, not sqrt(d_model)")
        return problems

    def keys(self, model: TransformerLM) -> dict[str, int | float]:
        """With windows and caps."""
        attention, cap = settings(model.config), model.config.logit_soft_cap
        assert attention.window is not None and attention.soft_cap is not None and cap is not None
        return super().keys(model) | {
            "attention.sliding_window": attention.window,
            "attn_logit_softcapping": float(attention.soft_cap),
            "final_logit_softcapping": float(cap),
        }

    def query_factor(self, model: TransformerLM) -> float:
        """The largest model of the family, known by its 46 layers, has another scale."""
        config, d_head = model.config, heads(first(model)).d_head
        native = config.d_model // config.num_heads if config.num_layers == 46 else d_head
        return super().query_factor(model) * math.sqrt(native / d_head)

    def block(self, model: TransformerLM, layer: Block) -> dict[str, Tensor]:
        """Norms on both sides of the parts."""
        return {
            **norm(layer.ln1, "attn_norm"),
            **self.attention(model, layer),
            **norm(layer.get_submodule("ln1_out"), "post_attention_norm"),
            **norm(layer.ln2, "ffn_norm"),
            **self.gated(layer),
            **norm(layer.get_submodule("ln2_out"), "post_ffw_norm"),
        }
