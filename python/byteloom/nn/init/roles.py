"""What each weight is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from torch import Tensor, nn

Role: TypeAlias = Literal["embedding", "positions", "hidden", "residual", "head"]

#: What modules call the map whose result is added to the tokens.
_LAST_MAPS = ("output_proj", "w2")


def weights_by_role(model: nn.Module) -> Iterator[tuple[Role, Tensor]]:
    """The weights of all maps and tables, each once; norms and biases have no role.

    Maps and tables say themselves that they are (``is_map``, ``is_table``).

    Args:
        model: what it calls ``token_embeddings`` and ``lm_head`` are those.

    Yields:
        "embedding" of tokens (a tied head is that, too), other tables ("positions"), "residual",
        the last maps of attention and feed-forward networks, all other "hidden" ones, the "head".
    """
    seen: set[int] = set()
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor) or id(weight) in seen:
            continue
        if getattr(module, "is_table", False):
            seen.add(id(weight))
            yield ("embedding" if name == "token_embeddings" else "positions"), weight
        elif getattr(module, "is_map", False):
            seen.add(id(weight))
            if name == "lm_head":
                yield "head", weight
            else:
                is_last = name.rpartition(".")[2] in _LAST_MAPS
                yield ("residual" if is_last else "hidden"), weight
