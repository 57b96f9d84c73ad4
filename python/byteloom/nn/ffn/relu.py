"""The feed-forward network with ReLU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from byteloom.nn.ffn.plain import PlainConfig


@dataclass(frozen=True)
class ReLUConfig(PlainConfig):
    """max(x, 0) between two maps, as in the first transformer (arXiv:1706.03762), and in T5."""

    kind: Literal["relu"] = "relu"
    """Selects this member."""

    def activation(self) -> Callable[[Tensor], Tensor]:
        """ReLU."""
        return F.relu
