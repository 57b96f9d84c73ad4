"""Llama and those that differ from it in one thing each: Qwen 2, Qwen 3, SmolLM3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from byteloom.export.gguf.architecture import (
    COMMON,
    Architecture,
    first,
    heads,
    other_epsilon,
    own_head_size,
)
from byteloom.export.gguf.layout import norm
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import Block
from byteloom.nn.position.rotary import Layout, RotaryConfig

_FIXED: Mapping[str, Any] = {
    **COMMON,
    "norm.kind": "rmsnorm",
    "ffn.kind": "swiglu",
    "block.kind": "pre",
}
#: Keys that may be anything in all of them.
FREE = frozenset(
    {
        *("norm.eps", "norm.unit_offset", "position.theta", "position.layout"),
        *("attention.num_kv_heads", "attention.scale", "block.residual_scale"),
        *("tie_embeddings", "embedding_scale", "logit_scale"),
    }
)


class Llama(Architecture):
    """Llama (arXiv:2302.13971): the default model. Also with biases and scaled rotary positions.

    Any way to scale those is a factor of each pair's angle, and one of the queries.
    """

    name = "llama"
    layout: ClassVar[Layout] = "interleaved"
    fixed = _FIXED
    free = FREE | {
        *("attention.d_head", "attention.bias", "attention.output_bias", "ffn.bias"),
        *("position.scaling", "position.scaling.*"),
    }

    def outside(self, model: TransformerLM) -> dict[str, Tensor]:
        """With what divides the angles."""
        found, position = super().outside(model), model.config.position
        if isinstance(position, RotaryConfig) and position.scaling is not None:
            plain, scaled, _ = angles(position, heads(first(model)).d_head)
            found["rope_freqs.weight"] = (plain / scaled).float()
        return found

    def query_factor(self, model: TransformerLM) -> float:
        """YaRN scales cosines and sines, of queries and of keys."""
        factor, position = super().query_factor(model), model.config.position
        if isinstance(position, RotaryConfig) and position.scaling is not None:
            factor *= angles(position, heads(first(model)).d_head)[2] ** 2
        return factor

    def block(self, model: TransformerLM, layer: Block) -> dict[str, Tensor]:
        """Norms before the parts."""
        return {
            **norm(layer.ln1, "attn_norm"),
            **self.attention(model, layer),
            **norm(layer.ln2, "ffn_norm"),
            **self.gated(layer),
        }


class Qwen2(Llama):
    """Qwen 2 (arXiv:2407.10671): biases in the maps of queries, keys and values."""

    name = "qwen2"
    layout = "half"
    fixed: ClassVar[Mapping[str, Any]] = {**_FIXED, "attention.bias": True}
    free = FREE | {"attention.d_head"}

    def more_problems(self, config: ModelConfig) -> list[str]:
        """Heads share the width."""
        return own_head_size(config)


class Qwen3(Llama):
    """Qwen 3 (arXiv:2505.09388): each head's queries and keys are normalised."""

    name = "qwen3"
    layout = "half"
    fixed: ClassVar[Mapping[str, Any]] = {
        **_FIXED,
        "attention.qk_norm.kind": "rmsnorm",
        "attention.qk_norm_over": "head",
    }
    free = FREE | {"attention.d_head", "attention.qk_norm", "attention.qk_norm.*"}

    def more_problems(self, config: ModelConfig) -> list[str]:
        """One epsilon for all norms."""
        return other_epsilon(config)


class SmolLM3(Llama):
    """SmolLM3: each fourth layer is told no places."""

    name = "smollm3"
    fixed: ClassVar[Mapping[str, Any]] = {**_FIXED, "positionless_every": 4}
    free = FREE | {"attention.d_head", "attention.bias", "attention.output_bias", "ffn.bias"}


def angles(position: RotaryConfig, d_head: int) -> tuple[Tensor, Tensor, float]:
    """The pairs' angles without scaling and with it, and its factor of cosines and sines."""
    pairs = torch.arange(0, d_head, 2, dtype=torch.float64) / d_head
    plain = position.theta**-pairs
    assert position.scaling is not None
    return plain, *position.scaling.scaled(plain, position.theta)
