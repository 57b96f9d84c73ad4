"""Which row goes where: tokens in their order <-> rows sorted by expert."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Plan(NamedTuple):
    """A pair is a token and one of its experts; the pairs of a token stand next to each other.

    A row is what an expert computes. Without a capacity rows are the pairs, sorted. With one, each
    expert has as many rows, pairs without a row are dropped, and rows without a pair hold anything.
    """

    pair: Int[Tensor, " rows"]
    """Of each row."""
    row: Int[Tensor, " pairs"]
    """Of each pair."""
    load: Int[Tensor, " experts"]
    """Pairs of each expert, those that are dropped included."""
    ends: Int[Tensor, " experts"] | None
    """Where the rows of each expert end, int32; ``None``: all have as many."""
    kept: Bool[Tensor, " pairs"] | None
    """Whether a pair has a row; ``None``: all have."""
    filled: Bool[Tensor, " rows"] | None
    """Whether a row has a pair; ``None``: all have."""


def make_plan(
    experts: Int[Tensor, "tokens top_k"], num_experts: int, capacity: float | None = None
) -> Plan:
    """Sorts pairs by expert, and within one by token.

    An expert that is full thus takes no token in place of one before it: what is dropped of a text
    does not depend on how it goes on.

    Args:
        experts: of each token.
        num_experts: how many there are.
        capacity: rows of an expert, as a multiple of what it would have if all had as many.

    Example:
        >>> plan = make_plan(torch.tensor([[1], [0], [1]]), num_experts=3)
        >>> plan.pair.tolist(), plan.row.tolist(), plan.load.tolist()
        ([1, 0, 2], [1, 0, 2], [1, 2, 0])
    """
    pairs = experts.numel()
    chosen, order = experts.flatten().sort(stable=True)
    numbers = torch.arange(pairs, device=experts.device)
    every = torch.arange(num_experts, device=experts.device)
    ends = torch.searchsorted(chosen, every, right=True)
    row = torch.empty_like(order).scatter_(0, order, numbers)
    load = ends.diff(prepend=ends.new_zeros(1))
    if capacity is None:
        return Plan(order, row, load, ends.int(), None, None)
    places = min(pairs, max(1, math.ceil(capacity * pairs / num_experts)))
    begins = ends - load
    place = row - begins[experts.flatten()]
    kept = place < places
    row = torch.where(kept, experts.flatten() * places + place, 0)
    sorted_row = begins[:, None] + torch.arange(places, device=experts.device)
    filled = sorted_row < ends[:, None]
    pair = order[sorted_row.clamp(max=pairs - 1)]
    return Plan(pair.flatten(), row, load, None, kept, filled.flatten())


def spread(x: Float[Tensor, "tokens d"], plan: Plan) -> Float[Tensor, "rows d"]:
    """Tokens -> rows."""
    top_k = len(plan.row) // len(x) if len(x) else 1
    rows: Tensor = _Move.apply(x, plan.pair, plan.row, plan.kept, top_k)  # type: ignore[no-untyped-call]
    return rows


def collect(y: Float[Tensor, "rows d"], plan: Plan) -> Float[Tensor, "pairs d"]:
    """Rows -> pairs; those that were dropped hold anything."""
    pairs: Tensor = _Move.apply(y, plan.row, plan.pair, plan.filled, 1)  # type: ignore[no-untyped-call]
    return pairs


class _Move(torch.autograd.Function):
    """x[there // share], whose gradient is a look-up too: nothing is added up in no order.

    Where ``back`` leads to what is not there (``is_there`` is false), the gradient is 0.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, there: Tensor, back: Tensor, is_there: Tensor | None, share: int
    ) -> Tensor:
        ctx.save_for_backward(back, is_there)
        ctx.share = share
        return x.index_select(0, there // share if share > 1 else there)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        back, is_there = ctx.saved_tensors
        moved = gradient.index_select(0, back)
        if is_there is not None:
            moved = moved.where(is_there[:, None], 0)
        if ctx.share > 1:
            moved = moved.view(-1, ctx.share, moved.shape[-1]).sum(1)
        return moved, None, None, None, None
