"""Command R and its follower Command R7B."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from byteloom.export.gguf.architecture import COMMON, Architecture, own_head_size, settings
from byteloom.export.gguf.layout import norm
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import Block

_FIXED: Mapping[str, Any] = {
    **COMMON,
    "norm.kind": "layernorm",
    "ffn.kind": "swiglu",
    "block.kind": "parallel",
    "tie_embeddings": True,
}
_FREE = frozenset(
    {
        *("norm.eps", "position.theta", "position.layout", "block.residual_scale"),
        *("attention.num_kv_heads", "attention.scale", "attention.d_head", "logit_scale"),
    }
)


class CommandR(Architecture):
    """Command R: attention and feed-forward network side by side."""

    name = "command-r"
    layout = "interleaved"
    tied = True
    norm_key = "attention.layer_norm_epsilon"
    fixed = _FIXED
    free = _FREE

    def more_problems(self, config: ModelConfig) -> list[str]:
        """Heads share the width; large models have norms of queries and keys."""
        deep = config.num_layers >= 64 and self.name == "command-r"
        more = [f"num_layers is {config.num_layers}, not below 64"] if deep else []
        return own_head_size(config) + more

    def keys(self, model: TransformerLM) -> dict[str, int | float]:
        """With the scale of logits."""
        return super().keys(model) | {"logit_scale": float(model.lm_head.scale)}

    def block(self, model: TransformerLM, layer: Block) -> dict[str, Tensor]:
        """One norm for both parts."""
        return {
            **norm(layer.ln1, "attn_norm"),
            **self.attention(model, layer),
            **self.gated(layer),
        }


class Cohere2(CommandR):
    """Command R7B: a window, but in each fourth layer, which sees all and is told no places."""

    name = "cohere2"
    fixed: ClassVar[Mapping[str, Any]] = {**_FIXED, "full_every": 4, "positionless_every": 4}
    free = _FREE | {"attention.window"}

    def keys(self, model: TransformerLM) -> dict[str, int | float]:
        """With the window."""
        window = settings(model.config).window
        assert window is not None
        return super().keys(model) | {"attention.sliding_window": window}
