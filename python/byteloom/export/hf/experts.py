"""Mixtures of experts in a ``config.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from byteloom.export.hf.rules import Choice, Flat, Settings, activations

#: What every expert is.
EXPERT = Choice(
    "hidden_act",
    {
        word: {key.replace("ffn.", "ffn.expert."): value for key, value in keys.items()}
        for word, keys in activations(gated=True).items()
    },
    "silu",
)


@dataclass(frozen=True)
class NumExperts:
    """How many there are, which newer versions of transformers call as Mixtral does."""

    default: int
    """Where it is not said."""

    def read(self, settings: Settings, found: Flat) -> None:
        """By either name."""
        number = settings.get("num_local_experts", settings.get("num_experts"))
        found["ffn.num_experts"] = self.default if number is None else number

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """By the name that all versions read."""
        settings["num_experts"] = config.get("ffn.num_experts")


@dataclass(frozen=True)
class SharedExpert:
    """Qwen 2's expert that all tokens go through."""

    default: int
    """Its inner size where it is not said."""

    def read(self, settings: Settings, found: Flat) -> None:
        """Of the kind of the others."""
        size = settings.get("shared_expert_intermediate_size")
        found["ffn.shared.d_ff"] = self.default if size is None else size
        _like_experts(found, "shared")

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """The size."""
        settings["shared_expert_intermediate_size"] = config.get("ffn.shared.d_ff")


class DenseLayers:
    """Qwen's layers without experts."""

    def read(self, settings: Settings, found: Flat) -> None:
        """From their list, and the step between those with experts."""
        step = settings.get("decoder_sparse_step", 1)
        dense = settings.get("mlp_only_layers") or ()
        have = [i not in dense and (i + 1) % step == 0 for i in range(found["num_layers"])]
        found["ffn.first_dense"], found["ffn.every"] = first_and_every(have)
        if not all(have):
            found["ffn.dense.d_ff"] = settings["intermediate_size"]
            _like_experts(found, "dense")

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """As a list."""
        have = config.get("layers.experts", ())
        settings["decoder_sparse_step"] = 1
        settings["mlp_only_layers"] = [i for i, has in enumerate(have) if not has]
        # It must be some number even where no layer is of this size.
        size = config.get("ffn.dense.d_ff", config.get("ffn.expert.d_ff"))
        settings["intermediate_size"] = size


def first_and_every(have: Sequence[bool]) -> tuple[int, int]:
    """How many layers at the beginning have no experts, and of the others, each how-manyth has.

    Raises:
        ValueError: no layer has experts, or others than these two numbers can say.

    Example:
        >>> first_and_every([False, True, False, True]), first_and_every([False, True, True])
        ((0, 2), (1, 1))
    """
    if not any(have):
        raise ValueError("no layer has experts: this is another architecture's model")
    for first in (0, list(have).index(True)):
        for every in range(1, len(have) + 1):
            if list(have) == [i >= first and (i + 1) % every == 0 for i in range(len(have))]:
                return first, every
    which = ", ".join(str(i + 1) for i, has in enumerate(have) if has)
    raise ValueError(
        f"layers {which} have experts: byteloom has that every n-th layer, from some layer on"
    )


def _like_experts(found: Flat, part: str) -> None:
    """Another network of the kind that the experts are."""
    for key in ("kind", "approximate"):
        if (value := found.get(f"ffn.expert.{key}")) is not None:
            found[f"ffn.{part}.{key}"] = value
