"""Refusals that configurations share."""

from __future__ import annotations


def require_positive(key: str, value: float) -> None:
    """Refuses a size or a constant that is not above zero.

    Raises:
        ValueError: naming the key and the value.
    """
    if not value > 0:
        raise ValueError(f"{key} is {value}; it must be above 0")


def require_part(key: str, value: float) -> None:
    """Refuses what is no part of a whole: below zero, or one and more.

    Raises:
        ValueError: naming the key and the value.
    """
    if not 0 <= value < 1:
        raise ValueError(f"{key} is {value}; it must be in [0, 1)")


def require_positive_if_given(**values: float | None) -> None:
    """Refuses those that are not above zero; ``None`` is what was left out.

    Raises:
        ValueError: naming the key and the value.
    """
    for key, value in values.items():
        if value is not None:
            require_positive(key, value)


def head_size(d_model: int, num_heads: int) -> int:
    """Size of a head when d_model is shared out among heads.

    Raises:
        ValueError: it cannot be shared out evenly.
    """
    require_positive("num_heads", num_heads)
    if d_model % num_heads:
        raise ValueError(f"d_model {d_model} is not divisible by num_heads {num_heads}")
    return d_model // num_heads
