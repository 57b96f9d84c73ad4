"""What differs from layer to layer in a ``config.json``: windows, and layers without positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from byteloom.export.hf.rules import Flat, Settings
from byteloom.nn.layered import is_each

FULL, SLIDING = "full_attention", "sliding_attention"


def period(flags: Sequence[bool], what: str) -> int | None:
    """The n whose n-th layers have a flag; ``None``: no layer has.

    Raises:
        ValueError: other layers have it.

    Example:
        >>> period([False, True, False, True, False], "window")
        2
    """
    if not any(flags):
        return None
    n = list(flags).index(True) + 1
    if list(flags) != [is_each(i, n) for i in range(len(flags))]:
        which = ", ".join(str(i + 1) for i, flag in enumerate(flags) if flag)
        raise ValueError(f"layers {which} have {what}: byteloom has that every n-th layer")
    return n


@dataclass(frozen=True)
class OneWindow:
    """All layers see through the same window, or all see everything."""

    default: int | None = None
    """Where it is not said."""
    switch: bool = False
    """Whether ``use_sliding_window`` turns it on."""

    def read(self, settings: Settings, found: Flat) -> None:
        """Of all layers."""
        if self.switch and not settings.get("use_sliding_window", False):
            return
        if (window := settings.get("sliding_window", self.default)) is not None:
            found["attention.window"] = window

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """That of the first layer; if others have another, reading shows it."""
        settings["sliding_window"] = config["layers.window"][0]
        if self.switch:
            settings["use_sliding_window"] = settings["sliding_window"] is not None


@dataclass(frozen=True)
class Windows:
    """Layers with a window and layers without."""

    every: int | None = None
    """Where layers are not listed: each n-th sees all, unless ``sliding_window_pattern`` says."""
    switch: bool = False
    """Whether ``use_sliding_window`` turns windows on, from the layer ``max_window_layers`` on."""
    without_places: bool = False
    """Whether those that see all are told no places."""
    default: int | None = 4096
    """The window, where it is not said."""
    always: bool = False
    """Whether transformers makes the window's mask even where no layer looks through it."""

    def read(self, settings: Settings, found: Flat) -> None:
        """From the list, or from what stands for it."""
        layers, window = found["num_layers"], settings.get("sliding_window", self.default)
        kinds = settings.get("layer_types")
        if self.switch and not settings.get("use_sliding_window", False):
            window = None
        if kinds is None and self.switch:
            first = settings.get("max_window_layers", 28)
            kinds = [SLIDING if window and i >= first else FULL for i in range(layers)]
        if kinds is None:
            every = settings.get("sliding_window_pattern") or self.every
            kinds = [FULL if is_each(i, every) else SLIDING for i in range(layers)]
        full = [kind == FULL for kind in kinds[:layers]]
        if len(full) != layers or not set(kinds) <= {FULL, SLIDING}:
            raise ValueError(f"layer_types must be {layers} times {FULL} or {SLIDING}, not {kinds}")
        n = period(full, "full attention")
        if self.without_places and n is not None:
            found["positionless_every"] = n
        if window is not None and n != 1:
            found["attention.window"] = window
            if n is not None:
                found["full_every"] = n
        elif self.without_places and n != 1:
            raise ValueError("sliding_window is missing")

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """As a list."""
        windows = config["layers.window"]
        settings["sliding_window"] = next((w for w in windows if w is not None), None)
        if self.switch:
            settings["use_sliding_window"] = settings["sliding_window"] is not None
            settings["max_window_layers"] = 0 if settings["use_sliding_window"] else len(windows)
        full = [w is None for w in windows]
        if self.without_places:
            # Which also see all if the window is as long as any text.
            full = [not told for told in config["layers.places"]]
        if self.without_places or self.always:
            settings["sliding_window"] = settings["sliding_window"] or config["context_length"]
        settings["layer_types"] = [FULL if all_of_it else SLIDING for all_of_it in full]


@dataclass(frozen=True)
class Positionless:
    """SmolLM3's layers without positions."""

    def read(self, settings: Settings, found: Flat) -> None:
        """From the list of ones and zeros, or from the interval."""
        layers = found["num_layers"]
        every = settings.get("no_rope_layer_interval", 4)
        told = settings.get("no_rope_layers") or [not is_each(i, every) for i in range(layers)]
        n = period([not flag for flag in told[:layers]], "no positions")
        if n is not None:
            found["positionless_every"] = n
        if settings.get("use_sliding_window") and settings.get("sliding_window") is not None:
            raise ValueError("use_sliding_window: byteloom has no windows in SmolLM3")

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """As a list: 1 where a layer is told places."""
        settings["no_rope_layers"] = [int(flag) for flag in config["layers.places"]]
        settings["layer_types"] = [FULL] * config["num_layers"]
        settings["use_sliding_window"] = False
