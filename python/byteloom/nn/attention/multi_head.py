"""Causal multi-head self-attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from byteloom.nn.attention.cache import LayerCache
from byteloom.nn.checks import head_size, require_positive_if_given
from byteloom.nn.functional import Backend, scaled_dot_product_attention
from byteloom.nn.linear import Linear
from byteloom.nn.norm import NormConfig
from byteloom.nn.position.base import Position

QKNormOver: TypeAlias = Literal["head", "all"]


@dataclass(frozen=True)
class MultiHeadConfig:
    """Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762)."""

    kind: Literal["multi_head"] = "multi_head"
    """Selects this member."""
    backend: Backend = "auto"
    """How it is computed: "reference", the written-out formula; "fused", torch's kernel; "auto"."""
    num_kv_heads: int | None = None
    """Heads of keys and values, each for a group of queries (arXiv:2305.13245); none: as many."""
    d_head: int | None = None
    """Size of a head; none: heads share d_model evenly."""
    qk_norm: NormConfig | None = None
    """What normalises queries and keys before they are turned (arXiv:2302.05442); none: nothing."""
    qk_norm_over: QKNormOver = "head"
    """Over what: each "head", as in Qwen 3, or "all" heads together, as in OLMo 2."""
    soft_cap: float | None = None
    """Scores become soft_cap tanh(score / soft_cap), as in Gemma 2; computed by the formula."""
    window: int | None = None
    """A token sees so many, itself included; none: all before it (arXiv:2004.05150)."""
    scale: float | None = None
    """What scores are multiplied by; none: 1 / sqrt(d_head)."""
    bias: bool = False
    """Whether the maps of queries, keys and values add a learned vector, as in GPT-2 and Qwen 2."""
    output_bias: bool = False
    """Whether the last map does."""

    def __post_init__(self) -> None:
        for key in ("num_kv_heads", "d_head", "soft_cap", "window", "scale"):
            require_positive_if_given(**{key: getattr(self, key)})
        if self.soft_cap is not None and self.backend == "fused":
            raise ValueError("torch's kernel has no soft cap: leave the backend to auto")

    def head_size(self, d_model: int, num_heads: int) -> int:
        """Size of a head."""
        return head_size(d_model, num_heads) if self.d_head is None else self.d_head

    def build(self, d_model: int, num_heads: int) -> MultiHeadSelfAttention:
        """Makes the module."""
        return MultiHeadSelfAttention(d_model, num_heads, config=self)


class MultiHeadSelfAttention(nn.Module):
    """Every token looks at itself and those before it, in ``num_heads`` ways at once.

    Written out, for each head: softmax(Q K^T / sqrt(d_head) + mask) V, with Q, K and V three linear
    maps of the tokens, and a fourth map of all heads' results side by side (arXiv:1706.03762).

    Args:
        d_model: size of the last dimension, in and out; divisible by ``num_heads``.
        num_heads: heads of size d_model / num_heads.
        backend: see :class:`MultiHeadConfig`; a ``config`` has its own.
        config: all that can be chosen.

    Example:
        >>> MultiHeadSelfAttention(8, 2)(torch.zeros(1, 5, 8)).shape
        torch.Size([1, 5, 8])
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        backend: Backend = "auto",
        config: MultiHeadConfig | None = None,
    ) -> None:
        super().__init__()
        self.config = config = config or MultiHeadConfig(backend=backend)
        self.backend = "reference" if config.soft_cap is not None else config.backend
        self.d_head = config.head_size(d_model, num_heads)
        num_kv_heads = num_heads if config.num_kv_heads is None else config.num_kv_heads
        if num_heads % num_kv_heads:
            raise ValueError(
                f"num_heads {num_heads} is not divisible by num_kv_heads {num_kv_heads}"
            )
        self.group = num_heads // num_kv_heads
        """Heads of queries for one of keys and values."""
        inner, narrow = num_heads * self.d_head, num_kv_heads * self.d_head
        self.q_proj = Linear(d_model, inner, bias=config.bias)
        self.k_proj = Linear(d_model, narrow, bias=config.bias)
        self.v_proj = Linear(d_model, narrow, bias=config.bias)
        self.output_proj = Linear(inner, d_model, bias=config.output_bias)
        if config.qk_norm is not None:
            by_head = config.qk_norm_over == "head"
            self.q_norm = config.qk_norm.build(self.d_head if by_head else inner)
            self.k_norm = config.qk_norm.build(self.d_head if by_head else narrow)

    def forward(
        self,
        x: Float[Tensor, "*batch seq d_model"],
        positions: Int[Tensor, "*#batch seq"] | None = None,
        position: Position | None = None,
        cache: LayerCache | None = None,
        mask: Bool[Tensor, "*#batch 1 seq keys"] | None = None,
    ) -> Float[Tensor, "*batch seq d_model"]:
        """Attends.

        Args:
            x: the tokens, which with a cache follow those already read.
            positions: their places, for the position scheme; ``None`` is 0, 1, 2 ..., after
                those in the cache.
            position: the position scheme; ``None`` is none.
            cache: keys and values of earlier tokens, to be used and added to.
            mask: True where a query may attend to a key, in place of the causal mask.
        """
        if positions is None and cache is not None:
            positions = cache.next_positions(x.shape[-2], x.device)
        q, k = self._normed(self.q_proj(x), self.k_proj(x))
        v = self._split(self.v_proj(x))
        if position is not None:
            q, k = position.rotate(q, positions), position.rotate(k, positions)
        if cache is not None:
            k, v = cache.append(k, v)
        bias = None
        if self.config.window is not None or (position is not None and position.has_bias):
            queries = torch.arange(x.shape[-2], device=x.device) if positions is None else positions
            # What the cache holds stands at 0, 1, 2 ...; else the keys are the queries' tokens.
            keys = queries if cache is None else torch.arange(k.shape[-2], device=x.device)
            if position is not None and position.has_bias:
                bias = position.bias(queries, keys).to(q.dtype)
            if self.config.window is not None:
                far = queries[..., None, :, None] - keys[..., None, None, :]
                near = far < self.config.window
                mask = near & (causal_mask(q, k) if mask is None else mask)
        mixed = self._attend(q, k, v, bias, mask)  # (*batch, heads, seq, d_head)
        y: Tensor = self.output_proj(mixed.transpose(-3, -2).flatten(-2))
        return y

    def _normed(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys, by heads."""
        if self.config.qk_norm is None:
            return self._split(q), self._split(k)
        if self.config.qk_norm_over == "all":
            return self._split(self.q_norm(q)), self._split(self.k_norm(k))
        return self.q_norm(self._split(q)), self.k_norm(self._split(k))

    def _split(self, x: Float[Tensor, "*batch seq d"]) -> Float[Tensor, "*batch heads seq d_head"]:
        return x.view(*x.shape[:-1], -1, self.d_head).transpose(-3, -2)

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        queries, keys = q.shape[-2], k.shape[-2]
        if mask is None and (self.backend == "reference" or bias is not None or 1 < queries < keys):
            mask = causal_mask(q, k)
        scale, soft_cap = self.config.scale, self.config.soft_cap
        if self.backend == "reference":
            k, v = (x.repeat_interleave(self.group, dim=-3) for x in (k, v))
            return scaled_dot_product_attention(q, k, v, mask, bias, scale, soft_cap)
        if bias is not None and mask is not None:
            mask = torch.where(mask, bias, -torch.inf)
        # Told so, the kernel skips what the mask hides. One new token sees all in the cache.
        is_causal = mask is None and queries == keys
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=is_causal, scale=scale, enable_gqa=self.group > 1
        )


def causal_mask(
    q: Float[Tensor, "... q d_k"], k: Float[Tensor, "... k d_k"]
) -> Bool[Tensor, "q k"]:
    """True where a key is not after the query; the last query stands at the last key."""
    queries, keys = q.shape[-2], k.shape[-2]
    return torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)


def document_mask(documents: Int[Tensor, "*batch seq"]) -> Bool[Tensor, "*batch 1 seq seq"]:
    """True where a key is of the query's document and not after the query; for all heads alike.

    Example:
        >>> document_mask(torch.tensor([0, 0, 1])).int()
        tensor([[[1, 0, 0],
                 [1, 1, 0],
                 [0, 0, 1]]], dtype=torch.int32)
    """
    same = documents[..., :, None] == documents[..., None, :]
    return same.tril().unsqueeze(-3)
