"""Which updates are left out, decided on the device: the host learns of it later."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Skips:
    """Leaves out steps whose loss or gradient is not finite; after some in a row, all.

    When the host hears of the last one that a run may leave out, the next step has begun. That one
    must change nothing either, as if it had never been.

    Args:
        limit: left out in a row, so many end the run.
        in_a_row: how many were the last ones so far; fewer than the limit.
        device: where the losses are.

    Example:
        >>> skips = Skips(limit=2, in_a_row=0, device=torch.device("cpu"))
        >>> finite = [False, True, False, False, True]
        >>> [skips(torch.tensor(one)).item() for one in finite]
        [1.0, 0.0, 1.0, 1.0, 1.0]
    """

    def __init__(self, limit: int, in_a_row: int, device: torch.device) -> None:
        self.limit = limit
        self.in_a_row = torch.tensor(in_a_row, device=device)

    def __call__(self, finite: Bool[Tensor, ""]) -> Float[Tensor, ""]:
        """Takes note of a step; 1 if its update is to be left out, else 0."""
        is_over = self.in_a_row >= self.limit
        longer = torch.where(finite, 0, self.in_a_row + 1)
        self.in_a_row = torch.where(is_over, self.in_a_row, longer)
        return (is_over | ~finite).float()
