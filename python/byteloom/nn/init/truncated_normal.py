"""One truncated normal distribution for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from byteloom.nn.checks import require_positive
from byteloom.nn.init.base import InitBase


@dataclass(frozen=True)
class TruncatedNormalInitConfig(InitBase):
    """A normal distribution without its tails, as in OLMo 2 (arXiv:2501.00656)."""

    kind: Literal["truncated_normal"] = "truncated_normal"
    """Selects this member."""
    cut: float = 3.0
    """Standard deviations beyond which nothing is drawn; what is left spreads a little less."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("cut", self.cut)

    def draw(self, weight: Tensor, std: float) -> None:
        """Fills a weight."""
        nn.init.trunc_normal_(weight, std=std, a=-self.cut * std, b=self.cut * std)
