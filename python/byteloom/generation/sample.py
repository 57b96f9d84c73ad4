"""Logits -> one id."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from byteloom.nn.functional import softmax


def sample(
    logits: Float[Tensor, "*batch vocab"],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "*batch"]:
    """Draws ids with the probabilities that logits give.

    Args:
        logits: unnormalised.
        temperature: divides the logits; 0 takes the largest.
        top_k: only the ``k`` largest may be drawn.
        top_p: only the fewest whose probabilities sum to ``p`` or more (Holtzman et al. 2019,
            arXiv:1904.09751); after ``top_k``.
        generator: where chance comes from.

    Raises:
        ValueError: a setting with which nothing could be drawn; logits that are not finite.

    Example:
        >>> sample(torch.tensor([[0.0, 3.0, 1.0]]), temperature=0)
        tensor([1])
    """
    check_sampling(temperature, top_k, top_p)
    largest = logits.amax(-1, keepdim=True)
    if not largest.isfinite().all():
        raise ValueError("the logits are not finite numbers (NaN): the model has diverged")
    if temperature == 0:
        return logits.argmax(-1)
    # The largest becomes 0 first, so that a tiny temperature divides nothing into infinity, and
    # none is so tiny that float32 takes it for 0.
    scores = (logits.float() - largest) / max(temperature, 1e-30)
    if top_k is not None:
        kept = scores.topk(min(top_k, scores.shape[-1]))
        scores = torch.full_like(scores, -torch.inf).scatter(-1, kept.indices, kept.values)
    probabilities = softmax(scores, dim=-1)
    if top_p is not None:
        ranked, order = probabilities.sort(descending=True, stable=True)
        # Those are left out before which p is reached already: never the first.
        left_out = ranked.cumsum(-1) - ranked >= top_p
        left_out[..., 0] = False
        dropped = torch.zeros_like(left_out).scatter(-1, order, left_out)
        probabilities = probabilities.masked_fill(dropped, 0.0)
    flat = probabilities.reshape(-1, probabilities.shape[-1])
    return torch.multinomial(flat, 1, generator=generator).reshape(logits.shape[:-1])


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Refuses impossible settings.

    Raises:
        ValueError: naming the setting and its value.
    """
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature is {temperature}; it must be 0 or more")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; it must be at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; it must be above 0 and at most 1")
