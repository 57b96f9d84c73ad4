"""Sums over the tokens before, weighted by products: linear attention in three forms.

All compute, for a query i, the sum over keys j of (q_i . k_j) decay(i, j) v_j, where decay(i, j) is
the product of the decays of the tokens after j up to i, or 1. They agree to rounding.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def quadratic_sums(
    q: Float[Tensor, "*batch heads seq d_k"],
    k: Float[Tensor, "*batch heads seq d_k"],
    v: Float[Tensor, "*batch heads seq d_v"],
    log_decay: Float[Tensor, "*_ seq"] | None = None,
    mask: Bool[Tensor, "*_ #seq seq"] | None = None,
) -> Float[Tensor, "*batch heads seq d_v"]:
    """Written out, with a matrix of all queries and keys: for any mask.

    Args:
        q: queries.
        k: keys.
        v: values.
        log_decay: logarithm of each token's decay, not above 0.
        mask: True where a query sees a key; ``None``: all. One behind it decays likewise.
    """
    weights = q @ k.mT
    if log_decay is not None:
        total = log_decay.cumsum(-1)
        weights = weights * (-(total[..., :, None] - total[..., None, :]).abs()).exp()
    return (weights if mask is None else weights * mask) @ v


def chunked_sums(
    q: Float[Tensor, "*batch heads seq d_k"],
    k: Float[Tensor, "*batch heads seq d_k"],
    v: Float[Tensor, "*batch heads seq d_v"],
    log_decay: Float[Tensor, "*_ seq"] | None = None,
    state: Float[Tensor, "*batch heads d_k d_v"] | None = None,
    chunk: int = 64,
) -> tuple[Float[Tensor, "*batch heads seq d_v"], Float[Tensor, "*batch heads d_k d_v"]]:
    """Over the tokens up to the query, without a loop: the training form.

    Within a chunk as in :func:`quadratic_sums`. What a chunk is to all behind it is one matrix, the
    sum of k_j v_j^T, so that the work grows with the tokens, not their square (arXiv:2312.06635).

    Args:
        q: queries.
        k: keys.
        v: values.
        log_decay: logarithm of each token's decay, not above 0.
        state: what tokens before these left; ``None``: there were none.
        chunk: tokens that are looked at together.

    Returns:
        The sums, and the state behind the last token.
    """
    seq, chunk = q.shape[-2], min(chunk, q.shape[-2])
    added = -seq % chunk
    log_decay = q.new_zeros(seq) if log_decay is None else log_decay
    # Tokens of zeros, which decay nothing, fill the last chunk: they leave the state as it is.
    q, k, v = (
        F.pad(x, (0, 0, 0, added)).view(*x.shape[:-2], -1, chunk, x.shape[-1]) for x in (q, k, v)
    )
    within = F.pad(log_decay, (0, added)).view(*log_decay.shape[:-1], -1, chunk).cumsum(-1)
    from_to = _decays(within)
    inside = (q @ k.mT * from_to) @ v
    # Of each chunk, the sum at its end; before all, what was there.
    last = within[..., -1:]
    sums = (k * (last - within).exp()[..., None]).mT @ v
    before = torch.zeros_like(sums[..., 0, :, :]) if state is None else state
    sums = torch.cat((before[..., None, :, :], sums), dim=-3)
    by_chunk = _decays(F.pad(last.squeeze(-1), (1, 0)).cumsum(-1))
    states = (by_chunk @ sums.flatten(-2)).view_as(sums)
    outside = (q * within.exp()[..., None]) @ states[..., :-1, :, :]
    return (inside + outside).flatten(-3, -2)[..., :seq, :], states[..., -1, :, :]


def sums_of_one(
    q: Float[Tensor, "*batch heads 1 d_k"],
    k: Float[Tensor, "*batch heads 1 d_k"],
    v: Float[Tensor, "*batch heads 1 d_v"],
    log_decay: Float[Tensor, "*_ 1"] | None,
    state: Float[Tensor, "*batch heads d_k d_v"],
) -> tuple[Float[Tensor, "*batch heads 1 d_v"], Float[Tensor, "*batch heads d_k d_v"]]:
    """One token more: the recurrent form, in which a model generates.

    The state decays, the token's own k v^T is added, and the query reads it (arXiv:2006.16236).

    Returns:
        Its sum, and the state behind it.
    """
    if log_decay is not None:
        state = state * log_decay.exp()[..., None]
    # As products: beside turned keys, torch 2.11 compiles `k.mT * v` to other numbers on a CPU.
    state = state + k.mT @ v
    return q @ state, state


def _decays(total: Float[Tensor, "*_ n"]) -> Float[Tensor, "*_ n n"]:
    """From each place to those behind it, of the sums of logarithms up to each; else zero."""
    n = total.shape[-1]
    later = torch.ones(n, n, dtype=torch.bool, device=total.device).tril()
    between = total[..., :, None] - total[..., None, :]
    return between.masked_fill(~later, -torch.inf).exp()
