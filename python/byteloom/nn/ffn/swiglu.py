"""The gated feed-forward network with SiLU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from byteloom.nn.ffn.gated import GatedConfig, GatedFeedForward


@dataclass(frozen=True)
class SwiGLUConfig(GatedConfig):
    """Gated by x sigmoid(x) (Shazeer 2020, arXiv:2002.05202), as in Llama."""

    kind: Literal["swiglu"] = "swiglu"
    """Selects this member."""

    def activation(self) -> Callable[[Tensor], Tensor]:
        """SiLU; torch's is :func:`byteloom.nn.functional.silu` in one kernel."""
        return F.silu


class SwiGLU(GatedFeedForward):
    """w2(silu(w1 x) * w3 x) (arXiv:2002.05202).

    Args:
        d_model: size of the last dimension, in and out.
        d_ff: inner size.

    Example:
        >>> import torch
        >>> SwiGLU(8, 24)(torch.zeros(2, 8)).shape
        torch.Size([2, 8])
    """

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__(d_model, d_ff, F.silu)
