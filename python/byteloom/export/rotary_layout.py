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
    numbers = torch.arange(size)
    if layout == "interleaved":
        return numbers.view(-1, 2).T.flatten()
    return numbers.roll(size // 2) if layout == "swapped" else numbers


def places(d_head: int, before: str, after: str) -> Tensor:
    """Where each number of a head comes from when its pairs go into another layout.

    Example:
        >>> places(6, "interleaved", "half").tolist()
        [0, 2, 4, 1, 3, 5]
        >>> places(6, "half", "interleaved").tolist()
        [0, 3, 1, 4, 2, 5]
    """
    return order(d_head, before)[order(d_head, after).argsort()]


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
    heads = weight.view(-1, d_head, *weight.shape[1:])
    return heads[:, places(d_head, before, after)].flatten(0, 1)
