"""OLMo 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from byteloom.export.gguf.architecture import (
    COMMON,
    Architecture,
    other_epsilon,
    own_head_size,
)
from byteloom.export.gguf.layout import norm
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import Block


class Olmo2(Architecture):
    """OLMo 2 (arXiv:2501.00656): norms behind the parts, and one over all queries."""

    name = "olmo2"
    layout = "half"
    own_output = True
    fixed: ClassVar[Mapping[str, Any]] = {
        **COMMON,
        "norm.kind": "rmsnorm",
        "ffn.kind": "swiglu",
        "block.kind": "reordered",
        "attention.qk_norm.kind": "rmsnorm",
        "attention.qk_norm_over": "all",
    }
    free = frozenset(
        {
            *("norm.eps", "norm.unit_offset", "position.theta", "position.layout"),
            *("attention.num_kv_heads", "attention.scale", "attention.d_head"),
            *("attention.qk_norm", "attention.qk_norm.*"),
            *("tie_embeddings", "embedding_scale", "logit_scale"),
        }
    )

    def more_problems(self, config: ModelConfig) -> list[str]:
        """Heads share the width; one epsilon for all norms."""
        return own_head_size(config) + other_epsilon(config)

    def block(self, model: TransformerLM, layer: Block) -> dict[str, Tensor]:
        """Norms behind the parts."""
        return {
            **self.attention(model, layer),
            **norm(layer.ln1, "post_attention_norm"),
            **self.gated(layer),
            **norm(layer.ln2, "post_ffw_norm"),
        }
