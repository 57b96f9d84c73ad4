"""GPT-2's initial weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from byteloom.nn.init.base import InitBase
from byteloom.nn.init.roles import Role


@dataclass(frozen=True)
class GPT2InitConfig(InitBase):
    """A normal distribution, narrower where a block adds to the tokens (Radford et al. 2019).

    The last maps of attention and feed-forward networks have std / sqrt(2 L) in L blocks, so that
    what all 2 L of them add together does not grow with the depth; sqrt(3 L) in the L blocks of a
    decoder that looks at an encoder, which have three parts.
    """

    kind: Literal["gpt2"] = "gpt2"
    """Selects this member."""

    def std_of(self, role: Role, d_model: int, num_layers: float) -> float:
        """Narrower for the last maps."""
        std = super().std_of(role, d_model, num_layers)
        return std / math.sqrt(2 * num_layers) if role == "residual" else std
