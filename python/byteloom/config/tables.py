"""Nested tables, as TOML has them, <-> a configuration."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import TypeAdapter, ValidationError

from byteloom.config.schema import (
    default_of,
    hints_of,
    keys,
    kind_of,
    members,
    nearest,
    presets_of,
    type_name,
)

T = TypeVar("T")


class Argument(str):
    """A value from the command line: text, whose type only its key knows."""

    __slots__ = ()


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no TOML; the message names the file, the line and the column.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a TOML file")
    if not path.exists():
        raise FileNotFoundError(f"no configuration file {path}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML: {error}") from None


def load(cls: type[T], data: Mapping[str, Any], source: str | os.PathLike[str] = "") -> T:
    """Builds a configuration from nested tables.

    Types are strict ("512" is no integer), except for values from the command line
    (:class:`Argument`). "none" is ``None`` where the type allows that: TOML has no word for it.

    Args:
        cls: the dataclass at the root.
        data: as TOML gives it; what is left out keeps its default.
        source: the file, for messages.

    Raises:
        ValueError: unknown keys, wrong types, missing or contradicting values: all of them, one a
            line, each with its dotted path and, for an unknown key, the nearest valid name.
    """
    loader = _Loader(cls)
    value = loader.section((cls,), data, "", MISSING)
    if loader.problems:
        before = f"{os.fspath(source)}: " if source else ""
        raise ValueError(
            "\n".join(p if p.startswith("--") else before + p for p in loader.problems)
        )
    return typing.cast(T, value)


class _Loader:
    """Walks data and types together and collects what is wrong."""

    def __init__(self, root: type) -> None:
        self.root = root
        self.problems: list[str] = []

    def section(
        self, options: tuple[type, ...], data: Mapping[str, Any], path: str, default: Any
    ) -> Any:
        """A table -> an instance of the dataclass that its ``kind`` names."""
        before = len(self.problems)
        cls = self.choose(options, data, path, default)
        if cls is None:
            return None
        fields = {field.name: field for field in dataclasses.fields(cls)}
        dotted = f"{path}." if path else ""
        try:
            data = begun(cls, data)
        except ValueError as error:
            where = "--" if isinstance(data["preset"], Argument) else ""
            self.problems.append(f"{where}{dotted}preset: {error}")
            return None
        self.problems += [
            f"{dotted}{name}: no such key; {self.advice(name, path, fields)}"
            for name in data
            if name not in fields and name != "kind"
        ]
        base = default if type(default) is cls else MISSING
        values = {}
        for name, field in fields.items():
            value = default_of(field) if base is MISSING else getattr(base, name)
            if name in data:
                value = self.value(hints_of(cls)[name], data[name], dotted + name, value)
            elif value is MISSING and (options := members(hints_of(cls)[name])):
                value = self.section(options, {}, dotted + name, MISSING)
            elif value is MISSING:
                self.problems.append(f"{dotted}{name}: must be given")
            values[name] = value
        if len(self.problems) > before:
            return None
        try:
            return cls(**values)
        except ValueError as error:
            self.problems.append(f"{path}: {error}" if path else str(error))
            return None

    def choose(
        self, options: tuple[type, ...], data: Mapping[str, Any], path: str, default: Any
    ) -> type | None:
        """The member that ``kind`` names; without it, the preset's, the default's, or the only one.

        A field that must be given has no default: there, it is the first.
        """
        by_kind = {kind_of(option): option for option in options}
        tag = data.get("kind")
        if tag is None and (of_preset := _whose_preset(options, data.get("preset"))) is not None:
            return of_preset
        if tag is None and isinstance(default, options):
            return type(default)
        if tag is None and (len(options) == 1 or default is MISSING):
            return options[0]
        if tag in by_kind and isinstance(tag, str):
            return by_kind[tag]
        names = ", ".join(by_kind)
        if tag is None:
            self.problems.append(f"{path}.kind: must be given: one of {names}")
        else:
            near = difflib.get_close_matches(str(tag), by_kind, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            self.problems.append(f"{path}.kind: must be one of {names}, not {tag!r}{hint}")
        return None

    def value(self, hint: Any, data: Any, path: str, default: Any) -> Any:
        """A table or a plain value -> what the field holds."""
        options = members(hint)
        if options and isinstance(data, Mapping):
            return self.section(options, data, path, default)
        if options and not (data == "none" and type(None) in typing.get_args(hint)):
            names = ", ".join(field.name for field in dataclasses.fields(options[0]))
            self.problems.append(f"{path}: must be a section with keys {names}, not {data!r}")
            return None
        try:
            return None if options else plain_value(hint, data)
        except ValidationError as error:
            what = error.errors()[0]["msg"]
            if what.startswith("Input should be"):
                what = what.replace("Input should be", "must be")
            else:
                what = f"must be {type_name(hint)} ({what})"
            where = f"--{path}" if isinstance(data, Argument) else path
            shown = str(data) if isinstance(data, Argument) else data
            self.problems.append(f"{where}: {what}, not {shown!r}")
            return None

    def advice(self, name: str, path: str, fields: Mapping[str, Any]) -> str:
        """The nearest valid name: in this section, else the key of that name in another."""
        dotted = f"{path}." if path else ""
        known = list(keys(self.root))
        for key in known:
            if f"{key.path}.".startswith(f"{dotted}{name}.") and key.kinds:
                return f"only kind {' and '.join(key.kinds)} has it"
        if near := difflib.get_close_matches(name, fields, 1):
            return f"did you mean {dotted}{near[0]}?"
        elsewhere = [key.path for key in known if key.path.rpartition(".")[2] == name]
        if elsewhere or (elsewhere := nearest(dotted + name, known)):
            return f"did you mean {elsewhere[0]}?"
        return f"the keys here are {', '.join(fields)}"


def _whose_preset(options: tuple[type, ...], name: object) -> type | None:
    """The member that has a preset of this name; ``None``: none has."""
    for option in options:
        presets = presets_of(option)
        if presets is not None and name in presets.names():
            return option
    return None


def plain_value(hint: Any, data: Any) -> Any:
    """A value of type ``hint`` from a TOML value or a command line's text.

    Raises:
        pydantic.ValidationError: it is not of that type.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    if isinstance(data, str) and data.lower() == "none":
        try:
            return adapter.validate_python(None, strict=True)
        except ValidationError:
            pass
    if isinstance(data, Argument):
        parsed = _toml_value(data)
        # Any text is a path, so what can be read as a list is one where a list may stand.
        may_be_list = any(typing.get_origin(option) is tuple for option in typing.get_args(hint))
        if not (may_be_list and isinstance(parsed, list)):
            try:
                return adapter.validate_strings(str(data))
            except ValidationError:
                if parsed is None:
                    raise
        data = parsed
    # By way of JSON, where pydantic's strict mode still takes a list for a tuple, text for a path.
    return adapter.validate_json(json.dumps(data, default=str), strict=True)


def _toml_value(text: str) -> Any:
    """What a text means as a value of TOML; ``None`` if it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` laid upon it, table by table.

    A section that gets another ``kind`` begins anew: the keys of the former kind say nothing
    about the new one.
    """
    if "kind" in over and over["kind"] != base.get("kind", over["kind"]):
        base = {}
    merged = dict(base)
    for name, value in over.items():
        below = base.get(name)
        if isinstance(value, Mapping):
            merged[name] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def begun(cls: type, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A section with the values of its ``preset``, if it names one, below its own.

    Raises:
        ValueError: no such preset.
    """
    presets = presets_of(cls)
    if presets is None or "preset" not in data:
        return data
    own = {name: value for name, value in data.items() if name != "preset"}
    return own if data["preset"] == "none" else merge(presets.values(data["preset"]), own)


def dump(config: Any) -> dict[str, Any]:
    """The nested tables that :func:`load` turns back into ``config``, defaults written out."""
    table: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value is None and default_of(field) is None:
            continue  # TOML has no null, and the default needs none
        table[field.name] = _plain(value)
    return table


def _plain(value: Any) -> Any:
    if value is None:
        return "none"
    if dataclasses.is_dataclass(value):
        return dump(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def to_toml(config: Any) -> str:
    """The whole configuration as TOML, every default written out."""
    return tomli_w.dumps(dump(config))
