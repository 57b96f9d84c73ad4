"""What a tree of dataclasses says of itself: its keys, their types, defaults and documentation."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING, dataclass
from typing import Annotated, Any, Literal, Union

from byteloom.config.presets import Presets


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
def hints_of(cls: type) -> dict[str, Any]:
    """Field -> its type, with what ``Annotated`` adds."""
    return typing.get_type_hints(cls, include_extras=True)


def default_of(field: dataclasses.Field[Any]) -> Any:
    """A field's default; ``dataclasses.MISSING`` if it has none."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def presets_of(cls: type) -> Presets | None:
    """The values with which its section may begin."""
    found = getattr(cls, "presets", None)
    return found if isinstance(found, Presets) else None


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
    if presets := presets_of(cls):
        doc = "What is published, to begin with; the keys here override it."
        yield Key(f"{prefix}preset", Literal[tuple(presets.names())], None, doc)
    for field in dataclasses.fields(cls):
        hint, path = hints_of(cls)[field.name], f"{prefix}{field.name}"
        value = default_of(field) if default is MISSING else getattr(default, field.name)
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
    if value is MISSING:
        chosen = kinds[0]  # the section must be given, but its kind need not
    yield Key(f"{path}.kind", Literal[kinds], chosen, doc)
    found: dict[str, Key] = {}
    for kind, option in zip(kinds, options, strict=True):
        base = value if isinstance(value, option) else MISSING
        for key in keys(option, f"{path}.", base):
            if key.kinds:  # those of a union further inside say more
                found.setdefault(key.path, key)
            elif key.path != f"{path}.kind":
                first = found.get(key.path, key)
                either = _either(first.type, key.type)
                found[key.path] = dataclasses.replace(
                    first, type=either, kinds=(*first.kinds, kind)
                )
    for key in found.values():
        everywhere = set(key.kinds) >= set(kinds)
        yield dataclasses.replace(key, kinds=()) if everywhere else key


def _either(hint: Any, other: Any) -> Any:
    """The words of both, if they are words that can be chosen from; else the first."""
    if typing.get_origin(hint) is Literal and typing.get_origin(other) is Literal:
        return Literal[tuple(dict.fromkeys(typing.get_args(hint) + typing.get_args(other)))]
    return hint


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


def nearest(path: str, known: list[Key]) -> list[str]:
    """The key most like ``path``, if any is like it: compared whole, then by last name."""
    paths = [key.path for key in known]
    if found := difflib.get_close_matches(path, paths, 1, cutoff=0.8):
        return found
    last = {p.rpartition(".")[2]: p for p in reversed(paths)}
    return [last[n] for n in difflib.get_close_matches(path.rpartition(".")[2], last, 1)]
