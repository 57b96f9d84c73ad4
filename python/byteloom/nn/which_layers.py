"""Refusals of what is said of some layers where none is one of them."""

from __future__ import annotations

from byteloom.nn.attention import AttentionConfig
from byteloom.nn.ffn import FeedForwardConfig


def require_some(key: str, n: int | None, num_layers: int) -> None:
    """Refuses to single out each n-th layer where there are fewer.

    Raises:
        ValueError: naming the key and both numbers.
    """
    if n is not None and n > num_layers:
        raise ValueError(
            f"{key} is {n}, but no layer has that number: a stack has at most {num_layers}; give a "
            "smaller number, or none"
        )


def require_both(full_every: int | None, attention: AttentionConfig) -> None:
    """Refuses layers that see all where all others do too, or where there are no others.

    Raises:
        ValueError: naming the key.
    """
    if full_every is not None and attention == attention.full():
        raise ValueError(
            f"full_every is {full_every}, but without attention.window all layers see all"
        )
    if full_every == 1:
        window = attention.kind == "multi_head"
        what = "have attention.window" if window else f"be of attention.kind {attention.kind}"
        raise ValueError(
            f"full_every is 1: every layer would see all, and none {what}; give a greater number"
        )


def require_experts(ffn: FeedForwardConfig, num_layers: int) -> None:
    """Refuses experts that no layer would have.

    Raises:
        ValueError: naming the keys.
    """
    if all(ffn.at(index).kind != ffn.kind for index in range(num_layers)):
        raise ValueError(
            f"ffn.kind is {ffn.kind}, but by ffn.first_dense and ffn.every none of the "
            f"{num_layers} layers would have any"
        )
