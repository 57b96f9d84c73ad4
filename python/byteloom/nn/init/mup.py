"""Weights, logits and learning rates that follow the width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from byteloom.nn.checks import require_positive
from byteloom.nn.init.base import InitBase
from byteloom.nn.init.roles import Role


@dataclass(frozen=True)
class MuPInitConfig(InitBase):
    """The maximal update parametrisation, for Adam (Yang et al. 2022, arXiv:2203.03466).

    A learning rate that was found for a model of `base_width` is then good for wider ones, too. In
    one m times as wide, maps between widths begin with std / sqrt(m) and have lr / m; logits are
    divided by m; tables and the head begin and learn as in the narrow one. Widen a model by more
    heads, not by wider ones; for those, give `attention.scale` as sqrt(base d_head) / d_head.
    """

    kind: Literal["mup"] = "mup"
    """Selects this member."""
    base_width: int = 256
    """The d_model at which it changes nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("base_width", self.base_width)

    def std_of(self, role: Role, d_model: int, num_layers: float) -> float:
        """Narrower between widths, the wider the model is."""
        std = super().std_of(role, d_model, num_layers)
        is_between = role in ("hidden", "residual")
        return std * math.sqrt(self.base_width / d_model) if is_between else std

    def logit_factor(self, d_model: int) -> float:
        """What logits are multiplied by: a sum over the width grows with it."""
        return self.base_width / d_model

    def lr_scales(self, d_model: int) -> dict[str, float]:
        """Adam's steps are as long for all numbers: their sum over the width grows with it."""
        return {"hidden": self.base_width / d_model}


def require_weights_only(init: object, whose: str) -> None:
    """Refuses muP for models of which it does not say what follows the width.

    Args:
        init: what was chosen.
        whose: the model: "an encoder" ...

    Raises:
        ValueError: it is muP.
    """
    if isinstance(init, MuPInitConfig):
        raise ValueError(
            "init.kind is mup, which says how a decoder's logits and learning rates follow the "
            f"width; the heads of {whose} are others: choose another kind"
        )
