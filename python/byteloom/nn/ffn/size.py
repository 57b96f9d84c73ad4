"""How wide a feed-forward network is: what the configurations of all have."""

from __future__ import annotations

from dataclasses import dataclass

from byteloom.nn.checks import require_positive


@dataclass(frozen=True)
class FeedForwardSize:
    """Width and biases."""

    kind: str = ""
    """Selects the member."""
    d_ff: int | None = None
    """Inner size; none: as many parameters as 8 d_model^2, the usual number, or `ratio`."""
    ratio: float | None = None
    """Inner size as a multiple of d_model; none: `d_ff`."""
    bias: bool = False
    """Whether every linear map adds a learned vector."""

    def __post_init__(self) -> None:
        for key in ("d_ff", "ratio"):
            if getattr(self, key) is not None:
                require_positive(key, getattr(self, key))
        if self.d_ff is not None and self.ratio is not None:
            raise ValueError(f"d_ff is {self.d_ff} and ratio {self.ratio}: give one of them")

    def width(self, d_model: int, default: int) -> int:
        """The inner size, which is ``default`` if nothing was said."""
        if self.ratio is not None:
            return max(1, round(self.ratio * d_model))
        return default if self.d_ff is None else self.d_ff
