"""Which numbers of a head are a pair to rotary positions, and how weights go from one to the other.

A head's scores do not change if the numbers of its queries and keys change places alike.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: "interleaved": (0, 1), (2, 3) ...; "half": (0, n/2), (1, n/2 + 1) ...; "swapped": (n/2, 0) ...,
#: which turns the other way round.
LAYOUTS = ("interleaved", "half", "swapped")


def order(size: int, layout: str) -> Tensor:
    """The places of a head's numbers in the order of "half".

    Example:
        >>> order(4, "interleaved").tolist()
        [0, 2, 1, 3]
    """
    places = torch.arange(size)
    if layout == "interleaved":
        return places.view(-1, 2).T.flatten()
    return places.roll(size // 2) if layout == "swapped" else places


def change(weight: Tensor, d_head: int, before: str, after: str) -> Tensor:
    """The rows of a map of queries or keys, or a vector of such numbers, in another layout.

    Args:
        weight: the first dimension is that of heads, of ``d_head`` numbers each.
        d_head: size of a head.
        before: its layout.
        after: the layout wanted.
    """
    if before == after:
        return weight
    places = order(d_head, before)[order(d_head, after).argsort()]
    heads = weight.view(-1, d_head, *weight.shape[1:])
    return heads[:, places].flatten(0, 1)
