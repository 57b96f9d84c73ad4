"""What ``byteloom inspect`` says of a model: its parts, and where each choice comes from."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import byteloom
from byteloom import config
from byteloom.config.schema import kind_of, members
from byteloom.markdown import table
from byteloom.models import AnyModelConfig
from byteloom.training.config import RunConfig, resolve_model
from byteloom.training.estimate.parameters import Parameters, count_parameters

_PACKAGE = Path(byteloom.__file__).parent.parent


@dataclass(frozen=True)
class Choice:
    """A key of the configuration."""

    key: str
    """Its path."""
    value: Any
    """What it is; ``None``: none."""
    origin: str
    """What says so: "default", "preset", "config", or "tokenizer"."""
    file: str
    """Where the member is that has the key."""


@dataclass(frozen=True)
class _Alone:
    """A file with a model and nothing beside it that would say what it learns."""

    model: AnyModelConfig


@dataclass(frozen=True)
class Report:
    """A model, without a single weight."""

    name: str
    """As it was asked for."""
    file: str
    """The configuration."""
    config: AnyModelConfig
    choices: tuple[Choice, ...]
    parameters: Parameters

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.name,
            "file": self.file,
            "parameters": self.parameters.total,
            "without_embeddings": self.parameters.without_embeddings,
            "modules": [
                {
                    "module": node.name,
                    "level": level,
                    "copies": node.copies,
                    "shape": list(node.shape),
                    "parameters": node.count,
                }
                for level, node in self.parameters.tree.rows(9)
            ],
            "choices": [dataclasses.asdict(choice) for choice in self.choices],
        }

    def text(self) -> str:
        """For people."""
        modules = [
            [
                "  " * level + node.name + (f" x {node.copies}" if node.copies > 1 else ""),
                " x ".join(f"{size:,}" for size in node.shape),
                f"{node.count:,}",
            ]
            for level, node in self.parameters.tree.rows(9)
        ]
        choices = [[c.key, _shown(c.value), c.origin, c.file] for c in self.choices]
        counts = self.parameters
        return "\n\n".join(
            (
                f"model       {self.name} ({self.file})\n"
                f"parameters  {counts.total:,}, {counts.without_embeddings:,} without embeddings "
                "and head",
                table(["module", "shape", "parameters"], modules, 2),
                table(["key", "value", "from", "in"], choices, 4),
            )
        )


def presets() -> dict[str, type[Any]]:
    """All there are, of all kinds of models: the name, and whose it is."""
    kinds: tuple[type[Any], ...] = members(AnyModelConfig)
    return {name: kind for kind in kinds for name in kind.presets.names()}


def is_model(what: Path) -> bool:
    """Whether it names a model: a preset, unless a file has that name; a TOML file; a run."""
    if what.exists():
        return what.suffix == ".toml" or (what / "config.toml").exists()
    return what.suffix == ".toml" or str(what) in presets()


def look(what: Path) -> Report:
    """Builds the model on no device.

    Raises:
        FileNotFoundError: no such file; the message lists the presets.
        ValueError: a configuration that is none of a model, or a wrong one.
    """
    name = str(what)
    if not what.exists() and (kind := presets().get(name)) is not None:
        begin = {"kind": kind_of(kind), "preset": name}
        return _report(name, kind.presets.path(name), {"model": begin})
    file = what / "config.toml" if what.is_dir() else what
    return _report(name, file, config.read(file), is_run=what.is_dir())


def known() -> str:
    """The presets, a line each: name, size, and what they are."""
    rows = []
    for name, kind in presets().items():
        first = kind.presets.path(name).read_text("utf-8").splitlines()[0]
        total = count_parameters(config.load(kind, {"preset": name})).total
        rows.append([name, first.removeprefix("# "), f"{total:,}"])
    return table(["preset", "what it is", "parameters"], rows, 2)


def _report(name: str, file: Path, tables: Mapping[str, Any], is_run: bool = False) -> Report:
    own = tables.get("model", {})
    if is_run:  # which began: nothing is left open, and nothing is asked any more
        model = config.load(RunConfig, tables, file).model
    elif "data" in tables:
        model = resolve_model(tables, file).model
    elif not isinstance(own, Mapping) or not own:
        raise ValueError(f"{file} has no table [model]")
    else:
        model = config.load(_Alone, {"model": own}, file).model
    begun = config.begun(type(model), own)
    origins = dict.fromkeys(_leaves(begun), "preset") | dict.fromkeys(_leaves(own), "config")
    if own.get("preset") == name:
        origins["kind"] = "preset"
    if "vocab_size" not in own and "data" in tables:
        origins["vocab_size"] = "tokenizer" if "tokenizer" in tables["data"] else "data"
    choices = tuple(_choices(model, "", origins))
    return Report(name, _relative(file), model, choices, count_parameters(model))


def _choices(part: Any, prefix: str, origins: Mapping[str, str]) -> Iterator[Choice]:
    file = _relative(Path(inspect.getsourcefile(type(part)) or ""))
    for field in dataclasses.fields(part):
        key, value = prefix + field.name, getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            yield from _choices(value, f"{key}.", origins)
        else:
            yield Choice(key, value, origins.get(key, "default"), file)


def _leaves(tables: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _relative(path: Path) -> str:
    """A file of the package without what is before it."""
    inside = path.is_relative_to(_PACKAGE)
    return str(path.relative_to(_PACKAGE) if inside else path)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "none" if value is None else str(value)
