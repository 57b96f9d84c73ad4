"""The one place where a model's parameters are grouped for its optimizer."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from torch import nn

Decayed: TypeAlias = Literal["matrices", "all"]


def parameter_groups(
    model: nn.Module, weight_decay: float, decayed: Decayed = "matrices"
) -> list[dict[str, Any]]:
    """Named groups of all trainable parameters; empty groups are left out.

    Args:
        model: whose parameters.
        weight_decay: of the group "decayed"; that of "kept" is 0.
        decayed: "matrices": norms, biases and embeddings are kept, since pulling those towards
            zero regularises nothing; "all": nothing is kept.
    """
    # A table of vectors says so itself: this module need not know the layers.
    embeddings = {
        id(m.weight)
        for m in model.modules()
        if isinstance(m, nn.Embedding) or getattr(m, "is_table", False)
    }
    trainable = [p for p in model.parameters() if p.requires_grad]
    decays = [decayed == "all" or (p.ndim >= 2 and id(p) not in embeddings) for p in trainable]
    groups = [
        {
            "name": name,
            "params": [p for p, decay in zip(trainable, decays, strict=True) if decay == wanted],
            "weight_decay": weight_decay if wanted else 0.0,
        }
        for name, wanted in (("decayed", True), ("kept", False))
    ]
    return [group for group in groups if group["params"]]
