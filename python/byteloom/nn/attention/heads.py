"""Queries, keys and values by heads: what all attention with a softmax shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from byteloom.nn.attention.flex import capped_attention, take_numbers_for_constants
from byteloom.nn.attention.mask import causal_mask
from byteloom.nn.checks import head_size, require_part, require_positive_if_given
from byteloom.nn.functional import Backend, scaled_dot_product_attention
from byteloom.nn.linear import Linear
from byteloom.nn.norm import NormConfig

AttentionBackend: TypeAlias = Literal["auto", "reference", "fused", "flex"]
QKNormOver: TypeAlias = Literal["head", "all"]


@dataclass(frozen=True)
class HeadsConfig:
    """What all of them can be told."""

    #: Whether position schemes may add to scores.
    takes_bias: ClassVar[bool] = True

    @property
    def is_by_place(self) -> bool:
        """Whether who sees whom is a matter of places themselves, and not of distances alone."""
        return False

    kind: str = ""
    """Selects the member."""
    backend: AttentionBackend = "auto"
    """How it is computed: "reference" as written out, "fused" by torch, "flex" on a GPU, "auto"."""
    num_kv_heads: int | None = None
    """Heads of keys and values, each for a group of queries (arXiv:2305.13245); none: as many."""
    d_head: int | None = None
    """Size of a head; none: heads share d_model evenly."""
    qk_norm: NormConfig | None = None
    """What normalises queries and keys before they are turned (arXiv:2302.05442); none: nothing."""
    qk_norm_over: QKNormOver = "head"
    """Over what: each "head", as in Qwen 3, or "all" heads together, as in OLMo 2."""
    soft_cap: float | None = None
    """Scores become soft_cap tanh(score / soft_cap), as in Gemma 2; as written out, or by flex."""
    scale: float | None = None
    """What scores are multiplied by; none: 1 / sqrt(d_head)."""
    bias: bool = False
    """Whether the maps of queries, keys and values add a learned vector, as in GPT-2 and Qwen 2."""
    output_bias: bool = False
    """Whether the last map does."""
    dropout: float = 0.0
    """Part of the attention weights that training sets to zero; not by flex."""

    def __post_init__(self) -> None:
        for key in ("num_kv_heads", "d_head", "soft_cap", "scale"):
            require_positive_if_given(**{key: getattr(self, key)})
        require_part("attention.dropout", self.dropout)
        if self.qk_norm_over != "head" and self.qk_norm is None:
            raise ValueError(
                f"qk_norm_over is {self.qk_norm_over}, but there is no qk_norm: say of what kind "
                "(qk_norm.kind), or leave it out"
            )
        if self.dropout and self.backend == "flex":
            raise ValueError(
                "attention.dropout is nothing for backend flex, which has no weights to drop: "
                "leave the backend to auto"
            )
        if self.soft_cap is not None and self.backend == "fused":
            raise ValueError("torch's kernel has no soft cap: leave the backend to auto, or flex")

    def head_size(self, d_model: int, num_heads: int) -> int:
        """Size of a head."""
        return head_size(d_model, num_heads) if self.d_head is None else self.d_head


class Heads(nn.Module):
    """Four linear maps, and attention between them (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        d_model: size of the tokens that look, in and out; divisible by ``num_heads`` if the
            configuration does not say how large a head is.
        num_heads: heads of the queries.
        config: all that can be chosen.
        d_memory: size of those that are looked at; ``None``: the same.
    """

    def __init__(
        self, d_model: int, num_heads: int, config: HeadsConfig, d_memory: int | None = None
    ) -> None:
        super().__init__()
        self.flex = config.backend == "flex"
        if self.flex:
            take_numbers_for_constants()
        # Also where flex cannot be.
        self.backend: Backend = "auto" if config.backend == "flex" else config.backend
        if config.soft_cap is not None:
            self.backend = "reference"
        self.scale, self.soft_cap, self.dropout = config.scale, config.soft_cap, config.dropout
        self.d_head = config.head_size(d_model, num_heads)
        num_kv_heads = num_heads if config.num_kv_heads is None else config.num_kv_heads
        if num_heads % num_kv_heads:
            raise ValueError(
                f"num_heads {num_heads} is not divisible by num_kv_heads {num_kv_heads}"
            )
        self.group = num_heads // num_kv_heads
        """Heads of queries for one of keys and values."""
        d_memory = d_model if d_memory is None else d_memory
        inner, narrow = num_heads * self.d_head, num_kv_heads * self.d_head
        self.q_proj = Linear(d_model, inner, bias=config.bias)
        self.k_proj = Linear(d_memory, narrow, bias=config.bias)
        self.v_proj = Linear(d_memory, narrow, bias=config.bias)
        self.output_proj = Linear(inner, d_model, bias=config.output_bias)
        self.by_head = config.qk_norm_over == "head"
        self.q_norm = self.k_norm = None
        if config.qk_norm is not None:
            self.q_norm = config.qk_norm.build(self.d_head if self.by_head else inner)
            self.k_norm = config.qk_norm.build(self.d_head if self.by_head else narrow)

    def queries(
        self, x: Float[Tensor, "*batch seq d_model"]
    ) -> Float[Tensor, "*batch heads seq d_head"]:
        """Of the tokens that look."""
        return self._normed(self.q_proj(x), self.q_norm)

    def keys(
        self, x: Float[Tensor, "*batch seq d_memory"]
    ) -> Float[Tensor, "*batch kv_heads seq d_head"]:
        """Of the tokens that are looked at."""
        return self._normed(self.k_proj(x), self.k_norm)

    def values(
        self, x: Float[Tensor, "*batch seq d_memory"]
    ) -> Float[Tensor, "*batch kv_heads seq d_head"]:
        """Likewise."""
        return self._split(self.v_proj(x))

    def attend(
        self,
        q: Float[Tensor, "*batch heads seq d_head"],
        k: Float[Tensor, "*batch kv_heads keys d_head"],
        v: Float[Tensor, "*batch kv_heads keys d_head"],
        bias: Tensor | None = None,
        mask: Tensor | None = None,
        causal: bool = False,
    ) -> Float[Tensor, "*batch seq d_model"]:
        """softmax(Q K^T / sqrt(d_head) + bias) V, and the last map.

        Args:
            q: queries.
            k: keys.
            v: values.
            bias: added to the scores.
            mask: True where a query may attend to a key.
            causal: what no mask means: that a query sees no key after it, or that it sees all.
        """
        # Compiled for many queries, and of biases it would have to learn.
        flex = self.flex and q.is_cuda and q.ndim == 4 and q.shape[-2] > 1 and bias is None
        if flex:
            is_causal = causal and mask is None
            mixed = capped_attention(q, k, v, mask, self.scale, self.soft_cap, is_causal)
        else:
            mixed = self._mixed(q, k, v, bias, mask, causal)
        y: Tensor = self.output_proj(mixed.transpose(-3, -2).flatten(-2))
        return y

    def _mixed(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        bias: Tensor | None,
        mask: Tensor | None,
        causal: bool,
    ) -> Tensor:
        queries, keys = q.shape[-2], k.shape[-2]
        # One new token sees all in the cache.
        written = self.backend == "reference" or bias is not None or 1 < queries < keys
        dropout = self.dropout if self.training else 0.0
        if mask is None and causal and written:
            mask = causal_mask(q, k)
        if self.backend == "reference":
            k, v = (x.repeat_interleave(self.group, dim=-3) for x in (k, v))
            return scaled_dot_product_attention(
                q, k, v, mask, bias, self.scale, self.soft_cap, dropout
            )
        hidden = mask
        if bias is not None:
            hidden = bias if mask is None else torch.where(mask, bias, -torch.inf)
        # Told so, the kernel skips what the mask hides.
        is_causal = causal and hidden is None and queries == keys
        mixed = F.scaled_dot_product_attention(
            q, k, v, hidden, dropout, is_causal, scale=self.scale, enable_gqa=self.group > 1
        )
        if mask is not None and mixed.is_cuda:
            # To a query that sees nothing, some of the kernels give something.
            mixed = mixed.masked_fill(~mask.any(-1, keepdim=True), 0)
        return mixed

    def _normed(self, x: Tensor, norm: nn.Module | None) -> Tensor:
        if norm is None:
            return self._split(x)
        normed: Tensor = norm(self._split(x)) if self.by_head else self._split(norm(x))
        return normed

    def _split(self, x: Float[Tensor, "*batch seq d"]) -> Float[Tensor, "*batch heads seq d_head"]:
        return x.view(*x.shape[:-1], -1, self.d_head).transpose(-3, -2)
