"""The one place where a model's parameters are grouped for its optimizer."""

from __future__ import annotations

import dataclasses
import math
import typing
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

GroupName: TypeAlias = Literal["hidden", "head", "embeddings", "vectors"]
Decayed: TypeAlias = Literal["matrices", "all"] | tuple[GroupName, ...]

#: The groups in their order, and what ``decayed`` stands for where it is one word.
GROUPS: tuple[GroupName, ...] = typing.get_args(GroupName)
_DECAYED: dict[str, tuple[GroupName, ...]] = {"matrices": ("hidden", "head"), "all": GROUPS}


@dataclass(frozen=True)
class LearningRateScale:
    """What the schedule's learning rate is multiplied by, group by group."""

    hidden: float = 1.0
    """Of the matrices inside the model: all that is in no other group."""
    head: float = 1.0
    """Of the matrix that makes the logits, where it is not the table of embeddings too."""
    embeddings: float = 1.0
    """Of the tables of vectors."""
    vectors: float = 1.0
    """Of norms and biases: whatever is no matrix."""

    def __post_init__(self) -> None:
        for name, scale in dataclasses.asdict(self).items():
            if not 0 <= scale < math.inf:
                raise ValueError(f"{name} is {scale}; it must be 0 or more, and finite")


def parameter_groups(
    model: nn.Module,
    weight_decay: float,
    decayed: Decayed = "matrices",
    lr_scale: LearningRateScale | None = None,
) -> list[dict[str, Any]]:
    """Named groups of all trainable parameters, each in one of them; empty groups are left out.

    Args:
        model: whose parameters. Its head is what it calls ``lm_head``; what it gives as
            ``lr_scales()`` multiplies learning rates, too.
        weight_decay: of the groups that decay; that of the others is 0.
        decayed: "matrices": hidden ones and the head decay, since pulling norms, biases and
            embeddings towards zero regularises nothing; "all"; or the groups by name.
        lr_scale: of the groups' learning rates; by default all are 1.
    """
    members: dict[GroupName, list[nn.Parameter]] = {name: [] for name in GROUPS}
    # A table of vectors says so itself: this module need not know the layers.
    tables = {
        id(m.weight)
        for m in model.modules()
        if isinstance(m, nn.Embedding) or getattr(m, "is_table", False)
    }
    head = getattr(getattr(model, "lm_head", None), "weight", None)
    for name, p in model.named_parameters():
        if p.requires_grad:
            members[_group_of(name, p, id(p) in tables, p is head)].append(p)
    decaying = _DECAYED[decayed] if isinstance(decayed, str) else decayed
    lr_scale = lr_scale or LearningRateScale()
    wanted: dict[str, float] = getattr(model, "lr_scales", dict)()
    assert wanted.keys() <= set(GROUPS), f"{set(wanted) - set(GROUPS)} are no groups"
    return [
        {
            "name": name,
            "params": params,
            "weight_decay": weight_decay if name in decaying else 0.0,
            "lr_scale": getattr(lr_scale, name) * wanted.get(name, 1.0),
        }
        for name, params in members.items()
        if params
    ]


def _group_of(name: str, p: Tensor, is_table: bool, is_head: bool) -> GroupName:
    # A tied head is the table; the biases of stacked layers have two dimensions, and are vectors.
    if is_table:
        return "embeddings"
    if p.ndim < 2 or name.endswith("bias"):
        return "vectors"
    return "head" if is_head else "hidden"


def in_todays_groups(
    state: dict[str, Any], optimizer: torch.optim.Optimizer, model: nn.Module | None
) -> dict[str, Any]:
    """An optimizer's state dict of the time of two groups, as one for the groups of now.

    Those were "decayed" and "kept", each in the model's order. Any other state comes back as it is.

    Args:
        state: the state dict.
        optimizer: which it is for.
        model: whose parameters these are; its order says which is which.

    Raises:
        ValueError: no model, or one of another number of parameters.
    """
    former, groups = state["param_groups"], optimizer.param_groups
    names = [group.get("name") for group in former]
    is_former = {"decayed", "kept"}.issuperset(names)
    if not is_former or not set(GROUPS).issuperset(group.get("name") for group in groups):
        return state
    if model is None:
        raise ValueError("its optimizer has groups of former times: load it with the model")
    indices = [index for group in former for index in group["params"]]
    group_of = {id(p): group["name"] for group in groups for p in group["params"]}
    order = [p for p in model.parameters() if id(p) in group_of]
    if len(indices) != len(order):
        raise ValueError(
            f"it has the optimizer state of {len(indices)} parameters, not {len(order)}"
        )
    if len(names) == 2:  # otherwise all were in one
        order.sort(key=lambda p: group_of[id(p)] not in _DECAYED["matrices"])
    index_of = {id(p): index for p, index in zip(order, indices, strict=True)}
    settings = {index: group for group in former for index in group["params"]}
    moved = []
    for group in groups:
        params = [index_of[id(p)] for p in group["params"]]
        moved.append({**group, **settings[params[0]], "name": group["name"], "params": params})
    return {**state, "param_groups": moved}
