"""Configuration: a typed tree of frozen dataclasses <-> TOML <-> the command line.

A component's configuration stands beside the component: a frozen dataclass whose fields carry
their documentation as a string below them. Where several components may take one place, the field
is a union of such dataclasses, told apart by their ``kind``. This module knows no particular
configuration; it loads, checks, overrides, describes and saves any.

Example:
    >>> from dataclasses import dataclass
    >>> from typing import Literal
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

from byteloom.config.options import add_options, explain_unknown, overrides
from byteloom.config.presets import Presets
from byteloom.config.schema import Key, keys
from byteloom.config.tables import Argument, begun, dump, load, merge, read, to_toml

__all__ = [
    "Argument",
    "Key",
    "Presets",
    "add_options",
    "begun",
    "dump",
    "explain_unknown",
    "keys",
    "load",
    "merge",
    "overrides",
    "read",
    "to_toml",
]
