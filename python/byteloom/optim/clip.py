"""Gradient clipping."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


@torch.no_grad()
def clip_grad_norm(
    parameters: Iterable[torch.nn.Parameter], max_norm: float, eps: float = 1e-6
) -> Tensor:
    """Scales all gradients, in place, so that their common L2 norm is at most ``max_norm``.

    Args:
        parameters: those without a gradient are passed over.
        max_norm: ``inf`` only measures.
        eps: added to the norm before dividing by it.

    Returns:
        The norm before clipping, a scalar on the device, which nobody has to wait for.

    Raises:
        ValueError: a ``max_norm`` that is not above zero.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(2))
        >>> weight.grad = torch.tensor([3.0, 4.0])
        >>> clip_grad_norm([weight], max_norm=1.0), weight.grad
        (tensor(5.), tensor([0.6000, 0.8000]))
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm is {max_norm}; it must be above 0")
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros(())
    norms = torch._foreach_norm(gradients, dtype=torch.float32)
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    if max_norm < float("inf"):
        torch._foreach_mul_(gradients, (max_norm / (total + eps)).clamp(max=1.0))
    return total
