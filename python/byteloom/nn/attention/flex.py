"""Attention with capped scores in one kernel: flex_attention, told what to do to a score."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.attention.flex_attention import (
    BlockMask,
    and_masks,
    create_block_mask,
    flex_attention,
)


def capped_attention(
    q: Float[Tensor, "batch heads q d_head"],
    k: Float[Tensor, "batch kv_heads k d_head"],
    v: Float[Tensor, "batch kv_heads k d_head"],
    mask: Bool[Tensor, "*_ #q k"] | None = None,
    scale: float | None = None,
    soft_cap: float | None = None,
    causal: bool = False,
) -> Float[Tensor, "batch heads q d_head"]:
    """As :func:`byteloom.nn.functional.scaled_dot_product_attention`, without a matrix of scores.

    It is generated and compiled for its arguments (Dong et al. 2024, arXiv:2412.05496), here or
    with the model around it; blocks of which the mask hides all are left out. On a CPU it has no
    gradients and is slow.

    Args:
        q: queries.
        k: keys; heads may be fewer than those of the queries, and serve a group each.
        v: values.
        mask: True where a query may attend to a key. A query that may attend to none gets zeros.
        scale: of the scores, in place of 1 / sqrt(d_head).
        soft_cap: scores, scaled, become soft_cap tanh(score / soft_cap).
        causal: whether, besides, a query sees no key after it; the last one stands at the last key.
    """
    capped: Callable[..., Tensor] | None = None
    if soft_cap is not None:
        capped = lambda score, text, head, query, key: soft_cap * torch.tanh(score / soft_cap)  # noqa: E731
    attend = flex_attention if torch.compiler.is_compiling() or not q.is_cuda else _compiled()
    found = attend(
        q,
        k,
        v,
        score_mod=capped,
        block_mask=_blocks(q, k, mask, causal),
        scale=scale,
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return cast(Tensor, found)


def _blocks(q: Tensor, k: Tensor, mask: Tensor | None, causal: bool) -> BlockMask | None:
    """Which blocks of keys each block of queries has to look at."""
    if mask is None and not causal:
        return None
    queries, keys = q.shape[-2], k.shape[-2]
    first = keys - queries
    seen, texts, heads = None, 1, 1
    if mask is not None:
        seen = mask[(None,) * (4 - mask.ndim)]
        texts, heads = seen.shape[:2]
        seen = seen.expand(*q.shape[:2], queries, keys)

    # No functions by name, here and above: where tests check types, they could not be traced.
    rules: list[Callable[..., Tensor]] = []
    if causal:
        rules.append(lambda text, head, query, key: key <= query + first)
    if seen is not None:
        rules.append(lambda text, head, query, key: seen[text, head, query, key])
    one_for_all = (None if texts == 1 else texts), (None if heads == 1 else heads)
    return create_block_mask(and_masks(*rules), *one_for_all, queries, keys, device=str(q.device))


@functools.cache
def _compiled() -> Callable[..., object]:
    """Compiled by itself, where no model around it is: without, it would write all scores out."""
    take_numbers_for_constants()
    return torch.compile(flex_attention)


def take_numbers_for_constants() -> None:
    """Lets torch.compile make code for each number of floating point that it meets.

    Of a number that it has seen to change, a second model's cap, it makes a variable, which the
    kernel cannot take.
    """
    torch._dynamo.config.specialize_float = True
