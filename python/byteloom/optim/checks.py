"""Refusals that optimizers and their configurations share."""

from __future__ import annotations

import math


def require_not_negative(**settings: float) -> None:
    """Refuses settings below zero, and such that are infinite or no number.

    Raises:
        ValueError: naming the setting and its value.
    """
    for name, value in settings.items():
        if not value >= 0:
            raise ValueError(f"{name} is {value}; it must not be negative")
        if value == math.inf:
            raise ValueError(f"{name} is {value}; it must be finite")


def require_something_decays(weight_decay: float, decayed: object) -> None:
    """Refuses to say what decays where nothing does.

    Raises:
        ValueError: naming both.
    """
    if weight_decay == 0 and decayed != "matrices":
        raise ValueError(
            f"decayed is {decayed!r}, but weight_decay is 0: nothing decays; give a weight_decay, "
            "or leave decayed out"
        )


def require_decays(betas: tuple[float, float]) -> None:
    """Refuses decays of running means with which nothing is learned.

    Raises:
        ValueError: naming both.
    """
    if not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas are {betas[0]} and {betas[1]}; both must be in [0, 1)")


def require_momentum(momentum: float) -> None:
    """Refuses a momentum under which old gradients never fade.

    Raises:
        ValueError: naming the value.
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; it must be in [0, 1)")


def require_eps(eps: float) -> None:
    """Refuses to divide by nothing in models: most rows of an embedding have no gradient at first.

    Raises:
        ValueError: naming the value.
    """
    if not eps > 0:
        raise ValueError(f"eps is {eps}; it must be above 0, or gradients of zeros give no number")
