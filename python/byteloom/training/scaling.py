"""Loss scaling: gradients in fp16 are kept within its narrow range."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class LossScale:
    """A factor on the loss, as large as the gradients bear (Micikevicius et al. 2017, 1710.03740).

    Below 6e-8 fp16 knows only zero, and above 65,504 only infinity. When a gradient is not finite,
    the factor was too large: the update is left out and the factor halved. When all went well for
    long, it is doubled.

    Example:
        >>> scale = LossScale(value=1024.0)
        >>> scale.update(finite=False)
        >>> scale.value
        512.0
    """

    value: float = 65536.0
    """The factor, a power of two, so that scaling changes no digit."""
    good: int = 0
    """Steps since the last change in which all went well."""
    patience: int = 2000
    """How many of them it takes."""

    def update(self, finite: bool) -> None:
        """Takes note of a step."""
        if not finite:
            self.value, self.good = max(1.0, self.value / 2), 0
            return
        self.good += 1
        if self.good == self.patience:
            self.value, self.good = min(2.0**24, self.value * 2), 0
