"""One normal distribution for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from byteloom.nn.init.base import InitBase


@dataclass(frozen=True)
class NormalInitConfig(InitBase):
    """A normal distribution for all weights; of 0.02 in Llama's and most models since BERT."""

    kind: Literal["normal"] = "normal"
    """Selects this member."""
