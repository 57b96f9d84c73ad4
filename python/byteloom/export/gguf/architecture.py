"""What llama.cpp calls an architecture: the shape of a model, by name, that it has code for.

The facts are those of llama.cpp's src/models/ as llama-cpp-python 0.3.36 ships it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from byteloom.export.expressible import differences
from byteloom.export.gguf.layout import linear, norm, row_order
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import Block, MultiHeadConfig, MultiHeadSelfAttention
from byteloom.nn.position.rotary import Layout, RotaryConfig

#: Parts that most have.
COMMON: dict[str, Any] = {"attention.kind": "multi_head", "position.kind": "rotary"}


class Architecture(ABC):
    """One of llama.cpp's.

    What it has no number for is folded into the weights: scales of scores go into the queries' map,
    those of what blocks add into the last map of each part, those of logits into the output map.
    """

    name: ClassVar[str]
    """As the file says it."""
    fixed: ClassVar[Mapping[str, Any]]
    """What keys must be, as :func:`byteloom.export.expressible.differences` takes it."""
    free: ClassVar[frozenset[str]]
    """Keys that may be anything."""
    layout: ClassVar[Layout]
    """Which numbers of a head turn together."""
    norm_key: ClassVar[str] = "attention.layer_norm_rms_epsilon"
    """The key of the norms' epsilon."""
    tied: ClassVar[bool] = False
    """Whether the output map is always the table of embeddings."""
    own_output: ClassVar[bool] = False
    """Whether there must be an output map."""
    has_experts: ClassVar[bool] = False
    """Whether it is for models with experts."""

    def problems(self, config: ModelConfig) -> list[str]:
        """Why it is not this model; empty if it is."""
        return differences(config, self.fixed, self.free) or self.more_problems(config)

    def more_problems(self, config: ModelConfig) -> list[str]:
        """What hangs on several keys together; asked if each alone is right."""
        return []

    def keys(self, model: TransformerLM) -> dict[str, int | float]:
        """What the file says of the model, without the architecture's name before each key."""
        config, attention = model.config, heads(first(model))
        rotary: dict[str, int | float] = {}
        if isinstance(config.position, RotaryConfig):
            rotary = {
                "rope.dimension_count": attention.d_head,
                "rope.freq_base": float(config.position.theta),
            }
        return {
            "vocab_size": config.vocab_size,
            "context_length": config.context_length,
            "embedding_length": config.d_model,
            "block_count": config.num_layers,
            "feed_forward_length": self.inner_size(model),
            "attention.head_count": config.num_heads,
            "attention.head_count_kv": config.num_heads // attention.group,
            "attention.key_length": attention.d_head,
            "attention.value_length": attention.d_head,
            self.norm_key: getattr(config.norm, "eps", 1e-5),
            **rotary,
        }

    def inner_size(self, model: TransformerLM) -> int:
        """That of feed-forward networks."""
        return len(weight_of(first(model), "ffn.w1"))

    def tensors(self, model: TransformerLM) -> dict[str, Tensor]:
        """The weights, in float32, under llama.cpp's names."""
        found = self.outside(model)
        for i, layer in enumerate(model.layers):
            assert isinstance(layer, Block)
            found |= {f"blk.{i}.{name}": t for name, t in self.block(model, layer).items()}
        return found

    @abstractmethod
    def block(self, model: TransformerLM, layer: Block) -> dict[str, Tensor]:
        """One block's tensors."""

    # -- what members put together -----------------------------------------------------------------

    def outside(self, model: TransformerLM) -> dict[str, Tensor]:
        """The tensors outside of blocks."""
        config = model.config
        found = norm(model.ln_final, "output_norm")
        if self.tied:
            return found | linear(model.token_embeddings, "token_embd")
        scale = config.embedding_scale or 1.0
        found |= linear(model.token_embeddings, "token_embd", scale)
        # Left out, it is the table of embeddings.
        is_table = config.tie_embeddings and scale == 1 and model.lm_head.scale == 1
        if self.own_output or not is_table:
            found |= linear(model.lm_head, "output", model.lm_head.scale)
        return found

    def attention(self, model: TransformerLM, layer: Block) -> dict[str, Tensor]:
        """Queries, keys, values, their norms, and the map behind them."""
        attention, position = heads(layer), model.config.position
        factor, q_order, k_order, head = self.query_factor(model), None, None, None
        if isinstance(position, RotaryConfig):
            rows = (len(m.weight) for m in (attention.q_proj, attention.k_proj))
            q_order, k_order = (
                row_order(n, attention.d_head, position.layout, self.layout) for n in rows
            )
            head = q_order[: attention.d_head]
        has_norms = attention.config.qk_norm is not None
        found = {
            # Behind a norm, a factor before it would have no effect.
            **linear(attention.q_proj, "attn_q", 1.0 if has_norms else factor, q_order),
            **linear(attention.k_proj, "attn_k", 1.0, k_order),
            **linear(attention.v_proj, "attn_v"),
            **linear(attention.output_proj, "attn_output", layer.scale),
        }
        if has_norms:
            over_all = attention.config.qk_norm_over == "all"
            q, k = (q_order, k_order) if over_all else (head, head)
            found |= norm(attention.get_submodule("q_norm"), "attn_q_norm", factor, q)
            found |= norm(attention.get_submodule("k_norm"), "attn_k_norm", 1.0, k)
        return found

    def query_factor(self, model: TransformerLM) -> float:
        """What makes of llama.cpp's scale of scores the model's."""
        attention = heads(first(model))
        scale = attention.config.scale
        return 1.0 if scale is None else scale * math.sqrt(attention.d_head)

    def gated(self, layer: Block) -> dict[str, Tensor]:
        """A feed-forward network with a gate."""
        return {
            **linear(layer.get_submodule("ffn.w1"), "ffn_gate"),
            **linear(layer.get_submodule("ffn.w3"), "ffn_up"),
            **linear(layer.get_submodule("ffn.w2"), "ffn_down", layer.scale),
        }


def first(model: TransformerLM) -> Block:
    """The first block."""
    layer = model.layers[0]
    assert isinstance(layer, Block)
    return layer


def heads(layer: Block) -> MultiHeadSelfAttention:
    """Its attention."""
    assert isinstance(layer.attn, MultiHeadSelfAttention)
    return layer.attn


def settings(config: ModelConfig) -> MultiHeadConfig:
    """The attention's configuration."""
    assert isinstance(config.attention, MultiHeadConfig)
    return config.attention


def weight_of(layer: Block, name: str) -> Tensor:
    """A linear map's matrix."""
    weight = layer.get_submodule(name).weight
    assert isinstance(weight, Tensor)
    return weight


def own_head_size(config: ModelConfig) -> list[str]:
    """A problem if heads do not share d_model."""
    d_head = settings(config).d_head
    if d_head is None or d_head * config.num_heads == config.d_model:
        return []
    return [f"attention.d_head is {d_head}, not d_model / num_heads"]


def other_epsilon(config: ModelConfig) -> list[str]:
    """A problem if norms of queries and keys have an epsilon of their own."""
    eps = getattr(settings(config).qk_norm, "eps", None)
    if eps == getattr(config.norm, "eps", None):
        return []
    return [f"attention.qk_norm.eps is {eps}, not norm.eps"]
