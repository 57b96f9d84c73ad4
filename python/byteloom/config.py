"""Configuration: a typed tree of frozen dataclasses <-> TOML <-> the command line.

A component's configuration stands beside the component: a frozen dataclass whose fields carry
their documentation as a string below them. Where several components may take one place, the field
is a union of such dataclasses, told apart by their ``kind``. This module knows no particular
configuration; it loads, checks, overrides, describes and saves any.

Example:
    >>> @dataclass(frozen=True)
    ... class Paint:
    ...     colour: Literal["red", "blue"] = "red"
    ...     coats: int = 1
    >>> load(Paint, {"coats": 2})
    Paint(colour='red', coats=2)
    >>> load(Paint, {"coat": 2}, "paint.toml")
    Traceback (most recent call last):
    ...
    ValueError: paint.toml: coat: no such key; did you mean coats?
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import json
import os
import textwrap
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

import tomli_w
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


class Argument(str):
    """A value from the command line: text, whose type only its key knows."""

    __slots__ = ()


@dataclass(frozen=True)
class Key:
    """One value that can be set."""

    path: str
    """Dotted, from the root: ``model.ffn.d_ff``."""
    type: Any
    """Its type hint."""
    default: Any
    """``dataclasses.MISSING`` if it must be given."""
    doc: str
    """What it means."""
    kinds: tuple[str, ...] = ()
    """The kinds that have it, where its section has several; empty: all."""


# -- what a dataclass says of itself -----------------------------------------------------------


def members(hint: Any) -> tuple[type, ...]:
    """The dataclasses a field may hold; empty if it holds a plain value."""
    if typing.get_origin(hint) is Annotated:
        hint = typing.get_args(hint)[0]
    is_union = typing.get_origin(hint) in (Union, types.UnionType)
    options = typing.get_args(hint) if is_union else (hint,)
    found = tuple(o for o in options if isinstance(o, type) and dataclasses.is_dataclass(o))
    return found if len(found) == len([o for o in options if o is not type(None)]) else ()


def kind_of(member: type) -> str:
    """The tag that selects this dataclass in a union."""
    for field in dataclasses.fields(member):
        if field.name == "kind":
            return str(field.default)
    return member.__name__


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


@functools.cache
def field_docs(cls: type) -> dict[str, str]:
    """Field -> the string below it in the source of the class or its bases."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue  # no source at hand (a frozen application, say): go without
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for statement, after in itertools.pairwise(body):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                docs[statement.target.id] = " ".join(after.value.value.split())
    return docs


def keys(cls: type, prefix: str = "", default: Any = MISSING) -> Iterator[Key]:
    """Every value that can be set in a configuration, in the order of the fields.

    Args:
        cls: the dataclass at the root.
        prefix: what the paths begin with.
        default: an instance whose values are the defaults; else those of the class.
    """
    docs = field_docs(cls)
    for field in dataclasses.fields(cls):
        hint, path = _hints(cls)[field.name], f"{prefix}{field.name}"
        value = _default(field) if default is MISSING else getattr(default, field.name)
        options = members(hint)
        if not options:
            yield Key(path, hint, value, docs.get(field.name, ""))
        elif len(options) == 1:
            base = value if isinstance(value, options[0]) else MISSING
            yield from keys(options[0], f"{path}.", base)
        else:
            yield from _union_keys(options, path, value, docs.get(field.name, ""))


def _union_keys(options: tuple[type, ...], path: str, value: Any, doc: str) -> Iterator[Key]:
    """The keys of all members of a union: ``kind`` first, then each key once."""
    kinds = tuple(map(kind_of, options))
    chosen = kind_of(type(value)) if isinstance(value, options) else MISSING
    yield Key(f"{path}.kind", Literal[kinds], chosen, doc)
    found: dict[str, Key] = {}
    for kind, option in zip(kinds, options, strict=True):
        base = value if isinstance(value, option) else MISSING
        for key in keys(option, f"{path}.", base):
            if key.path != f"{path}.kind":
                first = found.get(key.path, key)
                found[key.path] = dataclasses.replace(first, kinds=(*first.kinds, kind))
    for key in found.values():
        everywhere = set(key.kinds) >= set(kinds)
        yield dataclasses.replace(key, kinds=()) if everywhere else key


# -- TOML -> configuration ----------------------------------------------------------------------


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
        self.problems += [
            f"{dotted}{name}: no such key; {self.advice(name, path, fields)}"
            for name in data
            if name not in fields and name != "kind"
        ]
        base = default if type(default) is cls else MISSING
        values = {}
        for name, field in fields.items():
            value = _default(field) if base is MISSING else getattr(base, name)
            if name in data:
                value = self.value(_hints(cls)[name], data[name], dotted + name, value)
            elif value is MISSING and (options := members(_hints(cls)[name])):
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
        """The member that ``kind`` names; without it, the default's, or the only one."""
        by_kind = {kind_of(option): option for option in options}
        tag = data.get("kind")
        if tag is None and isinstance(default, options):
            return type(default)
        if tag is None and len(options) == 1:
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
        if near := difflib.get_close_matches(name, fields, 1):
            return f"did you mean {dotted}{near[0]}?"
        known = list(keys(self.root))
        for key in known:
            if key.path == dotted + name:
                return f"only kind {' and '.join(key.kinds)} has it"
        elsewhere = [key.path for key in known if key.path.rpartition(".")[2] == name]
        if elsewhere or (elsewhere := nearest(dotted + name, known)):
            return f"did you mean {elsewhere[0]}?"
        return f"the keys here are {', '.join(fields)}"


def nearest(path: str, known: list[Key]) -> list[str]:
    """The key most like ``path``, if any is like it: compared whole, then by last name."""
    paths = [key.path for key in known]
    if found := difflib.get_close_matches(path, paths, 1, cutoff=0.8):
        return found
    last = {p.rpartition(".")[2]: p for p in reversed(paths)}
    return [last[n] for n in difflib.get_close_matches(path.rpartition(".")[2], last, 1)]


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
        try:
            return adapter.validate_strings(str(data))
        except ValidationError as error:
            try:
                data = tomllib.loads(f"value = {data}")["value"]
            except tomllib.TOMLDecodeError:
                raise error from None
    # By way of JSON, where pydantic's strict mode still takes a list for a tuple, text for a path.
    return adapter.validate_json(json.dumps(data, default=str), strict=True)


# -- the command line ---------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser, cls: type) -> None:
    """Gives a parser one option for each key, ``--model.d_model 512``, grouped by section."""
    groups: dict[str, argparse._ArgumentGroup] = {}
    for key in keys(cls):
        section = key.path.partition(".")[0]
        if section not in groups:
            groups[section] = parser.add_argument_group(f"keys of [{section}]")
        # Bare `--training.compile` switches on.
        switch: dict[str, Any] = {"nargs": "?", "const": Argument("true")}
        notes = [f"kind {' or '.join(key.kinds)}"] if key.kinds else []
        if key.default is not MISSING and key.default is not None:
            notes.append(f"default: {_shown(key.default)}")
        help_text = f"{key.doc} ({'; '.join(notes)})" if notes else key.doc
        groups[section].add_argument(
            f"--{key.path}",
            type=Argument,
            metavar=type_name(key.type),
            **(switch if key.type is bool else {}),
            default=argparse.SUPPRESS,
            help=help_text.replace("%", "%%"),
        )


def overrides(options: Mapping[str, Any]) -> dict[str, Any]:
    """Parsed options -> nested tables of those that hold a value from the command line."""
    tables: dict[str, Any] = {}
    for path, value in options.items():
        if isinstance(value, Argument):
            *sections, name = path.split(".")
            table = tables
            for section in sections:
                table = table.setdefault(section, {})
            table[name] = value
    return tables


def explain_unknown(option: str, cls: type) -> str:
    """What to say about an option that is no key: the nearest one that is."""
    path = option.lstrip("-").partition("=")[0]
    near = nearest(path, list(keys(cls)))
    return f"no such key --{path}" + (f"; did you mean --{near[0]}?" if near else "")


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


def type_name(hint: Any) -> str:
    """A type as help texts show it: ``INT``, ``FLOAT,FLOAT``, ``fp32|bf16``."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return type_name(args[0])
    if origin is Literal:
        return "|".join(map(str, args))
    if origin in (Union, types.UnionType):
        return "|".join("none" if a is type(None) else type_name(a) for a in args)
    if origin is tuple:
        return "[" + ",".join("..." if a is Ellipsis else type_name(a) for a in args) + "]"
    return str(getattr(hint, "__name__", hint)).upper()


def _shown(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | tuple | list) else str(value)


# -- configuration -> TOML ----------------------------------------------------------------------


def dump(config: Any) -> dict[str, Any]:
    """The nested tables that :func:`load` turns back into ``config``, defaults written out."""
    table: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value is None and _default(field) is None:
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
