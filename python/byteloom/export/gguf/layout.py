"""Tensors as another program wants them: pairs of rotary positions, factors folded into weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from byteloom.export.rotary_layout import places
from byteloom.nn.norm import LayerNorm, RMSNorm
from byteloom.nn.position.rotary import Layout


def row_order(rows: int, d_head: int, have: Layout, want: Layout) -> Tensor:
    """Where each row of a map comes from when its heads' pairs go into the other layout.

    Queries and keys may be reordered together: scores are their products, and those stay.
    """
    return (torch.arange(0, rows, d_head)[:, None] + places(d_head, have, want)).flatten()


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
