"""Causal multi-head self-attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from byteloom.nn.attention.cache import LayerCache
from byteloom.nn.checks import head_size
from byteloom.nn.functional import Backend, scaled_dot_product_attention
from byteloom.nn.linear import Linear
from byteloom.nn.position.base import Position


@dataclass(frozen=True)
class MultiHeadConfig:
    """Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762)."""

    kind: Literal["multi_head"] = "multi_head"
    """Selects this member."""
    backend: Backend = "auto"
    """How it is computed: "reference", the written-out formula; "fused", torch's kernel; "auto"."""

    def build(self, d_model: int, num_heads: int) -> MultiHeadSelfAttention:
        """Makes the module."""
        return MultiHeadSelfAttention(d_model, num_heads, self.backend)


class MultiHeadSelfAttention(nn.Module):
    """Every token looks at itself and those before it, in ``num_heads`` ways at once.

    Written out, for each head: softmax(Q K^T / sqrt(d_head) + mask) V, with Q, K and V three linear
    maps of the tokens, and a fourth map of all heads' results side by side (arXiv:1706.03762).

    Args:
        d_model: size of the last dimension, in and out; divisible by ``num_heads``.
        num_heads: heads of size d_model / num_heads.
        backend: see :class:`MultiHeadConfig`.

    Example:
        >>> MultiHeadSelfAttention(8, 2)(torch.zeros(1, 5, 8)).shape
        torch.Size([1, 5, 8])
    """

    def __init__(self, d_model: int, num_heads: int, backend: Backend = "auto") -> None:
        super().__init__()
        self.d_head = head_size(d_model, num_heads)
        self.backend = backend
        self.q_proj = Linear(d_model, d_model)
        self.k_proj = Linear(d_model, d_model)
        self.v_proj = Linear(d_model, d_model)
        self.output_proj = Linear(d_model, d_model)

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
        q, k, v = (self._split(f(x)) for f in (self.q_proj, self.k_proj, self.v_proj))
        if position is not None:
            q, k = position.rotate(q, positions), position.rotate(k, positions)
        if cache is not None:
            k, v = cache.append(k, v)
        bias = None
        if position is not None and position.has_bias:
            queries = torch.arange(x.shape[-2], device=x.device) if positions is None else positions
            # What the cache holds stands at 0, 1, 2 ...; else the keys are the queries' tokens.
            keys = queries if cache is None else torch.arange(k.shape[-2], device=x.device)
            bias = position.bias(queries, keys).to(q.dtype)
        mixed = self._attend(q, k, v, bias, mask)  # (*batch, heads, seq, d_head)
        y: Tensor = self.output_proj(mixed.transpose(-3, -2).flatten(-2))
        return y

    def _split(self, x: Float[Tensor, "*batch seq d"]) -> Float[Tensor, "*batch heads seq d_head"]:
        return x.view(*x.shape[:-1], -1, self.d_head).transpose(-3, -2)

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        queries, keys = q.shape[-2], k.shape[-2]
        if mask is None and (self.backend == "reference" or bias is not None or 1 < queries < keys):
            mask = causal_mask(q, k)
        if self.backend == "reference":
            return scaled_dot_product_attention(q, k, v, mask, bias)
        if bias is not None and mask is not None:
            mask = torch.where(mask, bias, -torch.inf)
        # Told so, the kernel skips what the mask hides. One new token sees all in the cache.
        is_causal = mask is None and queries == keys
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=is_causal)


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
