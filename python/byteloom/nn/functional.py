"""The functions that layers are made of, written out, and their fused forms where those are faster.

A ``backend`` of "reference" computes as the formula says, to be read and to test against; "fused"
calls torch's own kernel; "auto", the default, is "fused". They agree to rounding.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

Backend: TypeAlias = Literal["auto", "reference", "fused"]


def softmax(x: Float[Tensor, ...], dim: int) -> Float[Tensor, ...]:
    """exp(x) / sum(exp(x)) along ``dim``; the largest element is subtracted first, for stability.

    Example:
        >>> softmax(torch.tensor([1000.0, 1000.0]), dim=0)
        tensor([0.5000, 0.5000])
    """
    # What is subtracted cancels out, and has no gradient. Its own would be shared by the elements
    # equal to it: none, where compiled code computes them more exactly the second time.
    exponentials = (x - x.detach().amax(dim, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim, keepdim=True)


def silu(x: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """The input times its sigmoid (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return x * torch.sigmoid(x)


def cross_entropy(
    logits: Float[Tensor, "*batch vocab"], targets: Int[Tensor, "*batch"], backend: Backend = "auto"
) -> Float[Tensor, ""]:
    """Mean of -log softmax(logits)[target] over all targets, in nats.

    Written as log-sum-exp minus the target's logit, so that no probability is ever rounded to 0.

    Args:
        logits: unnormalised; of any size, 1e4 included.
        targets: indices below ``vocab``.
        backend: "reference" or "fused", see the module.
    """
    if backend == "reference":
        largest = logits.detach().amax(-1, keepdim=True)
        log_sum = (logits - largest).exp().sum(-1).log() + largest.squeeze(-1)
        target_logits = logits.gather(-1, targets[..., None].long()).squeeze(-1)
        return (log_sum - target_logits).mean()
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1).long())


def scaled_dot_product_attention(
    Q: Float[Tensor, "... q d_k"],
    K: Float[Tensor, "... k d_k"],
    V: Float[Tensor, "... k d_v"],
    mask: Bool[Tensor, "*_ #q k"] | None = None,
    bias: Float[Tensor, "... q k"] | None = None,
    scale: float | None = None,
    soft_cap: float | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "... q d_v"]:
    """softmax(Q K^T / sqrt(d_k) + bias) V (Vaswani et al. 2017, arXiv:1706.03762), written out.

    Args:
        Q: queries.
        K: keys.
        V: values.
        mask: True where a query may attend to a key. A query that may attend to none gets zeros.
        bias: added to the scores.
        scale: of the scores, in place of 1 / sqrt(d_k).
        soft_cap: scores, scaled, become soft_cap tanh(score / soft_cap), before anything is added.
        dropout: part of the weights, of those behind the softmax, that is set to zero; the others
            grow by as much.
    """
    scores = Q @ K.transpose(-2, -1) * (1 / math.sqrt(Q.shape[-1]) if scale is None else scale)
    if soft_cap is not None:
        scores = soft_cap * torch.tanh(scores / soft_cap)
    if bias is not None:
        scores = scores + bias
    if mask is None:
        weights = softmax(scores, dim=-1)
    else:
        scores = scores.masked_fill(~mask, -torch.inf)
        # Where all is masked, the softmax of nothing but -inf would be NaN.
        nothing = ~mask.any(-1, keepdim=True)
        weights = softmax(scores.masked_fill(nothing, 0.0), dim=-1).masked_fill(nothing, 0.0)
    return (F.dropout(weights, dropout) if dropout else weights) @ V
