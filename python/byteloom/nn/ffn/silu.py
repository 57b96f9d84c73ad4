"""The feed-forward network with SiLU and no gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from byteloom.nn.ffn.plain import PlainConfig


@dataclass(frozen=True)
class SiLUFeedForwardConfig(PlainConfig):
    """x sigmoid(x) between two maps, and no gate: the course's comparison with SwiGLU."""

    kind: Literal["silu"] = "silu"
    """Selects this member."""

    def activation(self) -> Callable[[Tensor], Tensor]:
        """SiLU; torch's is :func:`byteloom.nn.functional.silu` in one kernel."""
        return F.silu
