"""The command line -> nested tables: any key of a configuration is an option."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any

from byteloom.config.schema import keys, nearest, type_name
from byteloom.config.tables import Argument


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


def _shown(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | tuple | list) else str(value)
