"""Experts' weights, a stack here: in files each has its own, or all are in a stack there, too.

transformers 5 has stacks in its modules; it writes files with each expert by itself, as it always
did, and reads both. A name with ``*`` is that of all experts' weights.
"""

from __future__ import annotations

import torch
from torch import Tensor

from byteloom.export.hf.files import Weights

#: In stacks: the last name, and which half of its rows it is.
_STACKED = {
    "gate_proj.weight": ("gate_up_proj", 0),
    "up_proj.weight": ("gate_up_proj", 1),
    "down_proj.weight": ("down_proj", None),
    "w1.weight": ("gate_up_proj", 0),
    "w3.weight": ("gate_up_proj", 1),
    "w2.weight": ("down_proj", None),
}


def of_each(theirs: str, count: int) -> list[str]:
    """The names of one weight of every expert."""
    return [theirs.replace("*", str(expert)) for expert in range(count)]


def find(weights: Weights, theirs: str, count: int) -> tuple[list[str], Tensor]:
    """A weight, or that of all experts as a stack; and the names in the file that it was.

    Args:
        weights: the file.
        theirs: the name, with ``*`` for experts.
        count: how many of them there are.

    Raises:
        ValueError: it is not there, or experts have weights of different shapes.
    """
    # Models without an output map are saved without the first part of the name. Mixtral's modules
    # have another name than its files.
    known = (theirs, theirs.partition(".")[2], theirs.replace(".block_sparse_moe.", ".mlp."))
    for name in known:
        if name in weights:
            return [name], weights[name]
        if "*" not in name:
            continue
        if (each := of_each(name, count))[0] in weights:
            if missing := [one for one in each if one not in weights]:
                raise ValueError(f"the weights lack {missing[0]}")
            parts = [weights[one] for one in each]
            if len({part.shape for part in parts}) > 1:
                raise ValueError(f"the shapes of {name} differ from expert to expert")
            return each, torch.stack(parts)
        module, _, last = name.partition(".*.")
        stacked, half = _STACKED[last]
        if (stack := f"{module}.{stacked}") in weights:
            tensor = weights[stack]
            return [stack], tensor if half is None else tensor.chunk(2, dim=1)[half]
    raise ValueError(f"the weights lack {theirs}")
