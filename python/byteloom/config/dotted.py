"""Nested tables <-> dotted keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables -> dotted keys.

    Example:
        >>> flat({"norm": {"eps": 1e-5}})
        {'norm.eps': 1e-05}
    """
    found: dict[str, Any] = {}
    for key, value in tables.items():
        found |= (
            flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return found


def nested(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of :func:`flat`."""
    tables: dict[str, Any] = {}
    for path, value in keys.items():
        *sections, name = path.split(".")
        table = tables
        for section in sections:
            table = table.setdefault(section, {})
        table[name] = value
    return tables
