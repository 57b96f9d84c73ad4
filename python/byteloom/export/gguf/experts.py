"""Architectures with experts: Mixtral, and those that differ from it in a few things each.

Those whose first layers may be without any are in deepseek.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from byteloom.export.gguf import llama
from byteloom.export.gguf.architecture import (
    COMMON,
    other_epsilon,
    own_head_size,
)
from byteloom.export.gguf.layout import linear
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import Block, DenseConfig, Experts, ExpertsConfig

#: What keys must be in most of them.
FIXED: Mapping[str, Any] = {
    **COMMON,
    "norm.kind": "rmsnorm",
    "block.kind": "pre",
    "ffn.kind": "experts",
    "ffn.expert.kind": "swiglu",
    "ffn.gate": ("softmax", "softmax_top_k"),
}
#: Keys that may be anything in all of them.
FREE = llama.FREE | {
    *("ffn.expert.d_ff", "ffn.expert.ratio", "ffn.num_experts", "ffn.top_k", "ffn.scale"),
    # Looked at below: these hang on others.
    *("ffn.normalise", "ffn.num_groups", "ffn.top_groups", "ffn.dense.*"),
}
#: Of an expert that all tokens go through.
SHARED = frozenset({"ffn.shared.d_ff", "ffn.shared.ratio"})
#: Norms of each head's queries and keys.
HEAD_NORMS: Mapping[str, Any] = {
    "attention.qk_norm.kind": "rmsnorm",
    "attention.qk_norm_over": "head",
}
#: What these may be like.
QK_NORM = frozenset({"attention.qk_norm", "attention.qk_norm.*"})


class Mixtral(llama.Llama):
    """Mixtral (arXiv:2401.04088), which is a llama there: weights of a token's experts add up to 1.

    What scales those weights goes into the experts' last matrices.
    """

    has_experts = True
    fixed: ClassVar[Mapping[str, Any]] = FIXED
    free = FREE | {
        *("attention.d_head", "attention.bias", "attention.output_bias"),
        *("position.scaling", "position.scaling.*"),
    }
    normalises: ClassVar[bool | None] = True
    """Whether it makes them add up to 1; none: the file says."""
    has_groups: ClassVar[bool] = False
    """Whether a token's experts may have to be in a few groups."""

    def more_problems(self, config: ModelConfig) -> list[str]:
        """Weights, groups, and networks that some models lack."""
        ffn, found = settings(config), []
        if self.normalises is not None and ffn.normalise != self.normalises:
            found.append(f"ffn.normalise is {ffn.normalise}, not {self.normalises}")
        if not self.has_groups and ffn.top_groups < ffn.num_groups:
            found.append(f"ffn.top_groups is {ffn.top_groups}, not all {ffn.num_groups}")
        if ffn.first_dense:
            found += _other_network("ffn.dense", ffn.dense)
        if ffn.shared is not None:
            found += _other_network("ffn.shared", ffn.shared)
        return found

    def keys(self, model: TransformerLM) -> dict[str, int | float]:
        """With how many there are, and their size."""
        ffn, inner = experts(model).config, experts(model).experts.w1.weight.shape[1]
        return super().keys(model) | {
            "expert_count": ffn.num_experts,
            "expert_used_count": ffn.top_k,
            "expert_feed_forward_length": inner,
        }

    def inner_size(self, model: TransformerLM) -> int:
        """That of layers without experts, or the experts' own."""
        if experts_begin(model):
            return super().inner_size(model)
        return experts(model).experts.w1.weight.shape[1]

    def gated(self, layer: Block) -> dict[str, Tensor]:
        """Experts and their router, or the network of a layer without."""
        ffn = layer.ffn
        if not isinstance(ffn, Experts):
            return super().gated(layer)
        found = {
            **linear(ffn.router, "ffn_gate_inp"),
            **linear(ffn.experts.w1, "ffn_gate_exps"),
            **linear(ffn.experts.get_submodule("w3"), "ffn_up_exps"),
            **linear(ffn.experts.w2, "ffn_down_exps", ffn.config.scale * layer.scale),
        }
        if ffn.router.balance_bias is not None:
            found["exp_probs_b.bias"] = ffn.router.balance_bias.float()
        if ffn.shared is not None:
            found |= linear(ffn.shared.w1, "ffn_gate_shexp")
            found |= linear(ffn.shared.get_submodule("w3"), "ffn_up_shexp")
            found |= linear(ffn.shared.w2, "ffn_down_shexp", layer.scale)
        if ffn.shared_gate is not None:
            found["ffn_gate_inp_shexp.weight"] = ffn.shared_gate.weight.detach().float().flatten()
        return found


class Qwen3MoE(Mixtral):
    """Qwen 3's (arXiv:2505.09388): each head's queries and keys are normalised."""

    name = "qwen3moe"
    layout = "half"
    fixed: ClassVar[Mapping[str, Any]] = {**FIXED, **HEAD_NORMS}
    free = FREE | QK_NORM | {"attention.d_head"}

    def more_problems(self, config: ModelConfig) -> list[str]:
        """One epsilon for all norms."""
        return super().more_problems(config) + other_epsilon(config)


class Qwen2MoE(Mixtral):
    """Qwen 2's (arXiv:2407.10671): a shared expert, scaled by a gate; weights as they are."""

    name = "qwen2moe"
    layout = "half"
    own_output = True
    normalises = False
    fixed: ClassVar[Mapping[str, Any]] = {
        **FIXED,
        "ffn.gate": "softmax",
        "ffn.shared.kind": "swiglu",
        "ffn.shared_gate": True,
    }
    free = FREE | SHARED | {"attention.d_head", "attention.bias"}

    def more_problems(self, config: ModelConfig) -> list[str]:
        """Heads share the width."""
        return super().more_problems(config) + own_head_size(config)

    def keys(self, model: TransformerLM) -> dict[str, int | float]:
        """With the shared expert's size."""
        return super().keys(model) | {"expert_shared_feed_forward_length": shared_size(model)}

    def attention(self, model: TransformerLM, layer: Block) -> dict[str, Tensor]:
        """Biases that are missing become zeros: older programs want them."""
        found = super().attention(model, layer)
        maps = [f"attn_{part}" for part in "qkv"]
        zeros = {f"{m}.bias": torch.zeros(len(found[f"{m}.weight"])) for m in maps}
        return zeros | found


class OLMoE(Mixtral):
    """OLMoE (arXiv:2409.02060): a norm over all queries, one over all keys; weights as they are."""

    name = "olmoe"
    layout = "half"
    own_output = True
    normalises = False
    fixed: ClassVar[Mapping[str, Any]] = {
        **FIXED,
        **HEAD_NORMS,
        "attention.qk_norm_over": "all",
        "ffn.gate": "softmax",
    }
    free = FREE | QK_NORM | {"attention.d_head"}

    def more_problems(self, config: ModelConfig) -> list[str]:
        """Heads share the width, as many for keys; one epsilon for all norms."""
        found = super().more_problems(config) + own_head_size(config) + other_epsilon(config)
        kv_heads = getattr(config.attention, "num_kv_heads", None)
        if kv_heads not in (None, config.num_heads):  # its norm of keys is as wide as the model
            found.append(f"attention.num_kv_heads is {kv_heads}, not num_heads")
        return found


def settings(config: ModelConfig) -> ExpertsConfig:
    """The experts' configuration."""
    assert isinstance(config.ffn, ExpertsConfig)
    return config.ffn


def experts(model: TransformerLM) -> Experts:
    """The experts of the first layer that has some."""
    ffn = model.layers[experts_begin(model)].ffn
    assert isinstance(ffn, Experts)
    return ffn


def experts_begin(model: TransformerLM) -> int:
    """How many layers have none: the first so many."""
    return settings(model.config).first_dense


def shared_size(model: TransformerLM) -> int:
    """The shared expert's inner size; 0: there is none."""
    shared = experts(model).shared
    return 0 if shared is None else len(shared.w1.weight)


def _other_network(key: str, config: DenseConfig) -> list[str]:
    if config.kind != "swiglu":
        return [f"{key}.kind is {config.kind!r}, not 'swiglu'"]
    return [f"{key}.bias is True, not False"] if config.bias else []
