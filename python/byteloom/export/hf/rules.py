"""How a ``config.json`` and a model's configuration say the same: each rule knows both directions.

Configurations are flat here, ``{"norm.eps": 1e-5, ...}``: a rule sets the keys it knows, and what
no rule sets has its default. Whether a family can express a configuration needs no rule: it can
exactly if writing and reading gives the configuration back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Flat: TypeAlias = dict[str, Any]
Settings: TypeAlias = Mapping[str, Any]


class Rule(Protocol):
    """A part of the two configurations."""

    def read(self, settings: Settings, found: Flat) -> None:
        """Settings of a ``config.json`` -> our keys, added to ``found``.

        Raises:
            ValueError: byteloom cannot do what they say.
        """

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """Our keys -> settings, added to ``settings``.

        Raises:
            ValueError: the family cannot do what they say.
        """


class Same:
    """A value of theirs that is one of ours, or several of ours at once.

    Args:
        theirs: their name.
        ours: our keys; the first is what is written, and the others must be equal to it.
        default: what is meant where it is missing; without one, it must be there. A null that is
            there means ours.
    """

    def __init__(self, theirs: str, *ours: str, default: Any = ...) -> None:
        self.theirs, self.ours, self.default = theirs, ours, default

    def read(self, settings: Settings, found: Flat) -> None:
        """Theirs, for all of ours."""
        value = settings.get(self.theirs, self.default)
        if value is ...:
            raise ValueError(f"config.json lacks {self.theirs}")
        if value is not None:
            found.update(dict.fromkeys(self.ours, value))

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """The first of ours."""
        settings[self.theirs] = config.get(self.ours[0])


@dataclass(frozen=True)
class Formula:
    """A value of theirs that is computed from one of ours."""

    theirs: str
    ours: str
    to_ours: Callable[[Any], Any]
    to_theirs: Callable[[Any], Any]
    default: Any
    """Theirs, where it is missing."""

    def read(self, settings: Settings, found: Flat) -> None:
        """By ``to_ours``."""
        value = settings.get(self.theirs)
        found[self.ours] = self.to_ours(self.default if value is None else value)

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """By ``to_theirs``."""
        settings[self.theirs] = self.to_theirs(config[self.ours])


@dataclass(frozen=True)
class Choice:
    """A word of theirs that stands for some of our keys."""

    theirs: str
    words: Mapping[str, Flat]
    """Of those with equal keys, the first is written."""
    default: str

    def read(self, settings: Settings, found: Flat) -> None:
        """The word's keys."""
        word = settings.get(self.theirs) or self.default
        if word not in self.words:
            known = ", ".join(self.words)
            raise ValueError(f"{self.theirs} is {word!r}: byteloom has {known} there")
        found.update(self.words[word])

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """The word whose keys these are; if there is none, reading finds another."""
        fitting = (w for w, keys in self.words.items() if keys.items() <= config.items())
        settings[self.theirs] = next(fitting, self.default)


class Always:
    """Our keys that are the same in all models of a family."""

    def __init__(self, **keys: Any) -> None:
        # Dots cannot stand in a name: two underscores do.
        self.keys = {name.replace("__", "."): value for name, value in keys.items()}

    def read(self, settings: Settings, found: Flat) -> None:
        """These."""
        found.update(self.keys)

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """Nothing: if the configuration has others, reading shows it."""


@dataclass(frozen=True)
class Only:
    """A setting that byteloom has in one way only."""

    theirs: str
    value: Any

    def read(self, settings: Settings, found: Flat) -> None:
        """Refuses any other."""
        value = settings.get(self.theirs)
        if value is not None and value != self.value:
            raise ValueError(
                f"{self.theirs} is {value!r}: byteloom can only do {self.value!r} there"
            )

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """That way."""
        settings[self.theirs] = self.value


@dataclass(frozen=True)
class HeadSize:
    """The size of a head."""

    is_free: bool = True
    """Whether ``head_dim`` is looked at at all; else heads share the tokens' vectors."""
    shares_evenly: bool = False
    """Whether the family wants d_model to be divisible by the heads all the same."""
    default: int | None = None
    """Where it is not said; none: heads share the tokens' vectors."""

    def read(self, settings: Settings, found: Flat) -> None:
        """As it is said, or as it follows."""
        d_model, heads = found["d_model"], found["num_heads"]
        said = settings.get("head_dim", self.default)
        if said is not None and not self.is_free and said != d_model / heads:
            raise ValueError(f"head_dim is {said}: in this family, heads share {d_model} evenly")
        if said is not None:
            found["attention.d_head"] = said

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """The size."""
        d_model, heads = config["d_model"], config["num_heads"]
        if self.shares_evenly and d_model % heads:
            raise ValueError(f"d_model {d_model} is not divisible by num_heads {heads}")
        if self.is_free:
            settings["head_dim"] = config["attention.d_head"]


@dataclass(frozen=True)
class Dropout:
    """For those who train the model on; what it computes does not depend on it."""

    theirs: tuple[str, ...]
    """Of embeddings and of what layers add, which is one number here."""
    of_weights: tuple[str, ...]
    """Of attention's weights."""

    def read(self, settings: Settings, found: Flat) -> None:
        """Nothing: another may be right for what is learned next."""

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """The numbers."""
        settings |= dict.fromkeys(self.theirs, config["dropout"])
        settings |= dict.fromkeys(self.of_weights, config["attention.dropout"])


def activations(*, gated: bool) -> dict[str, Flat]:
    """The words of ``hidden_act`` and what they are here."""
    tanh = {"ffn.approximate": "tanh"}
    if gated:
        return {
            "silu": {"ffn.kind": "swiglu"},
            "swish": {"ffn.kind": "swiglu"},
            "gelu_pytorch_tanh": {"ffn.kind": "geglu", **tanh},
            "gelu_new": {"ffn.kind": "geglu", **tanh},
            "gelu": {"ffn.kind": "geglu", "ffn.approximate": "none"},
            "relu": {"ffn.kind": "reglu"},
            "sigmoid": {"ffn.kind": "glu"},
        }
    return {
        "gelu_new": {"ffn.kind": "gelu", **tanh},
        "gelu_pytorch_tanh": {"ffn.kind": "gelu", **tanh},
        "gelu": {"ffn.kind": "gelu", "ffn.approximate": "none"},
        "relu": {"ffn.kind": "relu"},
        "relu2": {"ffn.kind": "relu_squared"},
        "silu": {"ffn.kind": "silu"},
        "swish": {"ffn.kind": "silu"},
    }
