"""An architecture of transformers, described once for both directions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from byteloom import config
from byteloom.config.dotted import nested
from byteloom.export.hf.canonical import canonical, differences
from byteloom.export.hf.rules import Flat, Rule, Settings
from byteloom.model import ModelConfig

#: What a model may lack and an architecture have: zeros, or ones, change nothing.
_NEUTRAL = ("bias", "output_bias", "gain")


@dataclass(frozen=True)
class Family:
    """What ``config.json`` and weights of an architecture are here."""

    model_type: str
    """Its name in ``config.json``."""
    architecture: str
    """The class in transformers."""
    rules: Sequence[Rule]
    """How the configurations say the same; later ones may use what earlier ones found."""
    names: Mapping[str, str]
    """Our modules' names -> theirs; ``#`` is a layer's number, ``*`` an expert's.
    Of those with one name, the rows follow each other in this order."""
    layout: str = "half"
    """Which numbers rotary positions turn together."""
    transposed: frozenset[str] = field(default_factory=frozenset)
    """Last names of their modules whose matrices are (in, out)."""
    overrules_tokenizers: bool = False
    """Whether ``AutoTokenizer`` opens any tokenizer beside it as if it were the published one."""

    def read(self, settings: Settings) -> ModelConfig:
        """A ``config.json`` -> a configuration.

        Raises:
            ValueError: it says what byteloom cannot do, or lacks a value.
        """
        found: Flat = {}
        for rule in self.rules:
            rule.read(settings, found)
        return config.load(ModelConfig, nested(found))

    def write(self, model: ModelConfig) -> dict[str, Any]:
        """A configuration -> the settings of a ``config.json`` that come nearest to it.

        Raises:
            ValueError: nothing comes near.
        """
        of_weights = getattr(model.attention, "dropout", 0.0)
        keys = {**canonical(model), "dropout": model.dropout, "attention.dropout": of_weights}
        settings: dict[str, Any] = {
            "architectures": [self.architecture],
            "model_type": self.model_type,
        }
        for rule in self.rules:
            rule.write(keys, settings)
        return settings

    def lacks(self, model: ModelConfig) -> dict[str, tuple[Any, Any]]:
        """The keys that the architecture has otherwise: what is wanted, and what there is."""
        try:
            found = self._differences(model)
        except (ValueError, KeyError, TypeError) as problem:
            return {"": (None, problem)}
        return {key: pair for key, pair in found.items() if not _is_neutral(key, *pair)}

    def adds(self, model: ModelConfig) -> int:
        """How many kinds of weights the architecture has beside those of the model, which it is."""
        return len(self._differences(model))

    def _differences(self, model: ModelConfig) -> dict[str, tuple[Any, Any]]:
        wanted, found = canonical(model), canonical(self.read(self.write(model)))
        return {key: (wanted.get(key), found.get(key)) for key in differences(wanted, found)}

    def name(self, ours: str) -> str:
        """Their name of a weight of ours.

        Raises:
            KeyError: they have no such weight.
        """
        module, _, last = ours.rpartition(".")
        parts = module.split(".")
        layer = parts[1] if parts[0] == "layers" else ""
        if layer:
            parts[1] = "#"
        return f"{self.names['.'.join(parts)].replace('#', layer)}.{last}"

    def groups(self, ours: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        """Their names, and of which weights of ours each consists."""
        rank = {name: i for i, name in enumerate(self.names)}
        found: dict[str, list[str]] = {}
        for name in ours:
            found.setdefault(self.name(name), []).append(name)
        for theirs, parts in found.items():
            yield theirs, sorted(parts, key=lambda name: rank.get(_without_number(name), 0))


def _is_neutral(key: str, wanted: Any, found: Any) -> bool:
    """Whether the difference is a weight that can be such that it changes nothing."""
    return key.rpartition(".")[2] in _NEUTRAL and wanted is False and found is True


def _without_number(name: str) -> str:
    parts = name.rpartition(".")[0].split(".")
    if parts[0] == "layers":
        parts[1] = "#"
    return ".".join(parts)


def refusal(model: ModelConfig, families: Sequence[Family]) -> str:
    """Why none of the families is the model: in which keys the nearest differs."""
    nearest = min(families, key=lambda family: len(family.lacks(model)) or 1)
    told = [
        str(there) if not key else f"{key} {_shown(there)}, not {_shown(wanted)}"
        for key, (wanted, there) in nearest.lacks(model).items()
    ]
    return (
        f"no Hugging Face architecture is this model: the nearest, {nearest.architecture}, "
        f"has {'; '.join(told)}"
    )


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return "none" if value is None else str(value)
