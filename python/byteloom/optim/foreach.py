"""What the optimizers share: each line of theirs works on many parameters at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import torch
from torch import Tensor


def call(closure: Callable[[], Any] | None) -> Any:
    """What ``closure`` returns, called with gradients on; ``None`` without one."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def alike(
    params: Iterable[Tensor], key: Callable[[Tensor], Hashable] = lambda p: None
) -> list[list[Tensor]]:
    """Those that have a gradient, in lists of one device, one type and one ``key``."""
    lists: dict[Hashable, list[Tensor]] = {}
    for p in params:
        if p.grad is not None:
            lists.setdefault((p.device, p.dtype, key(p)), []).append(p)
    return list(lists.values())


def gradients(params: Iterable[Tensor]) -> list[Tensor]:
    """Their gradients, which all of them have."""
    return [p.grad for p in params if p.grad is not None]
