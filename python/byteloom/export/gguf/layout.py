"""Tensors as another program wants them: pairs of rotary positions, factors folded into weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from byteloom.nn.norm import LayerNorm, RMSNorm
from byteloom.nn.position.rotary import Layout


def head_order(d_head: int, have: Layout, want: Layout) -> Tensor:
    """Where each number of a head comes from when its pairs go into the other layout.

    Pair i is (2i, 2i + 1) if interleaved, (i, i + d / 2) if halved. Queries and keys may be
    reordered together: scores are their products, and those stay.

    Example:
        >>> head_order(6, "interleaved", "half").tolist()
        [0, 2, 4, 1, 3, 5]
        >>> head_order(6, "half", "interleaved").tolist()
        [0, 3, 1, 4, 2, 5]
    """
    numbers = torch.arange(d_head)
    if have == want:
        return numbers
    return numbers.view(-1, 2).T.flatten() if want == "half" else numbers.view(2, -1).T.flatten()


def row_order(rows: int, d_head: int, have: Layout, want: Layout) -> Tensor:
    """Likewise, of all rows of a map whose heads lie one after the other."""
    order = head_order(d_head, have, want)
    return (torch.arange(0, rows, d_head)[:, None] + order).flatten()


def linear(
    module: nn.Module, name: str, factor: float = 1.0, order: Tensor | None = None
) -> dict[str, Tensor]:
    """A linear map's tensors, times a factor, their rows in another order."""
    found = {}
    for kind in ("weight", "bias"):
        tensor = getattr(module, kind, None)
        if isinstance(tensor, Tensor):
            wide = tensor.detach().float()
            wide = wide if factor == 1 else wide * factor
            found[f"{name}.{kind}"] = wide if order is None else wide[order]
    return found


def norm(
    module: nn.Module, name: str, factor: float = 1.0, order: Tensor | None = None
) -> dict[str, Tensor]:
    """A norm's tensors: the gain itself, also where the module learns what is added to 1."""
    assert isinstance(module, RMSNorm | LayerNorm)
    found = linear(module, name, 1.0, order)
    if isinstance(module, RMSNorm) and module.offset:
        found[f"{name}.weight"] = found[f"{name}.weight"] + module.offset
    return {key: tensor if factor == 1 else tensor * factor for key, tensor in found.items()}


def zero_biases(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """With zeros for the biases that are missing: beside each weight but tables of vectors."""
    tables = ("token_embd.weight", "position_embd.weight", "output.weight")
    zeros = {
        name.replace(".weight", ".bias"): weight.new_zeros(len(weight))
        for name, weight in tensors.items()
        if name.endswith(".weight") and name not in tables
    }
    return {**zeros, **tensors}
