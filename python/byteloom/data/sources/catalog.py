"""The catalogue: which texts can be downloaded, and from where (``catalog.toml``)."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

_ROLES = ("train", "valid")


@dataclass(frozen=True)
class SourceFile:
    """One file of a source. Sizes are in bytes; what is ``None`` is not known."""

    name: str
    """Its name on this disk."""
    role: str
    """``train`` or ``valid``."""
    remote: str
    """Its name below the source's base address."""
    size: int | None = None
    """Of the file as it lies on this disk in the end (unpacked)."""
    sha256: str | None = None
    """Of the same, in lower-case hexadecimal."""
    download_size: int | None = None
    """Of what comes over the line."""

    @property
    def packed(self) -> bool:
        """Whether the download is a gzip archive that has to be unpacked."""
        return self.remote.endswith(".gz") and not self.name.endswith(".gz")


@dataclass(frozen=True)
class Source:
    """A text that can be downloaded: a few files below one address."""

    name: str
    title: str
    base: str
    files: tuple[SourceFile, ...]
    page: str = ""
    licence: str = ""

    def url(self, file: SourceFile) -> str:
        """The full address of one of its files."""
        return f"{self.base.rstrip('/')}/{quote(file.remote)}"

    def at(self, base: str) -> Self:
        """The same files (names, sizes, checksums) below another address: a mirror.

        Raises:
            ValueError: not an http or https address.
        """
        return replace(self, base=_web_address(base, "the address of a mirror"))


def load_catalog(path: str | Path | None = None) -> dict[str, Source]:
    """Reads a catalogue; the one that comes with byteloom if no path is given.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no catalogue; the message names the file, the key and the remedy.

    Example:
        >>> sorted(load_catalog())
        ['owt', 'tinystories']
    """
    if path is None:
        place = "byteloom's own catalog.toml"
        text = (resources.files(__package__) / "catalog.toml").read_text(encoding="utf-8")
    else:
        place = str(path)
        text = Path(path).read_text(encoding="utf-8")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{place} is not TOML: {error}") from error
    return {name: _source(name, table, f"{place}: {name}") for name, table in tables.items()}


def _source(name: str, table: object, place: str) -> Source:
    if not isinstance(table, Mapping):
        raise ValueError(f"{place}: a source is a table, [{name}], not {table!r}")
    known = {"title": str, "page": str, "licence": str, "base": str, "files": list}
    values = _checked(table, known, ("base", "files"), place)
    files = values.pop("files")
    if not files:
        raise ValueError(f"{place}: needs at least one [[{name}.files]]")
    values["base"] = _web_address(values["base"], f"{place}.base")
    values.setdefault("title", name)
    parsed = tuple(_file(entry, f"{place}.files[{i}]") for i, entry in enumerate(files))
    names = [file.name for file in parsed]
    if repeated := {one for one in names if names.count(one) > 1}:
        raise ValueError(f"{place}: two files are called {repeated.pop()!r}")
    return Source(name=name, files=parsed, **values)


def _file(table: object, place: str) -> SourceFile:
    if not isinstance(table, Mapping):
        raise ValueError(f"{place}: a file is a table, not {table!r}")
    known = {field.name: int if "size" in field.name else str for field in fields(SourceFile)}
    values = _checked(table, known, ("name", "role"), place)
    name, sha256 = values["name"], values.get("sha256")
    if not name or name.startswith(".") or Path(name).name != name or "\\" in name:
        raise ValueError(f"{place}.name: {name!r} is not a plain file name")
    if values["role"] not in _ROLES:
        raise ValueError(f"{place}.role: {values['role']!r} is none of {', '.join(_ROLES)}")
    if sha256 is not None:
        values["sha256"] = sha256.lower()
        if not re.fullmatch(r"[0-9a-f]{64}", values["sha256"]):
            raise ValueError(f"{place}.sha256: {sha256!r} is not 64 hexadecimal digits")
    for key in ("size", "download_size"):
        if values.get(key, 0) < 0:
            raise ValueError(f"{place}.{key}: {values[key]} is negative")
    values.setdefault("remote", name)
    return SourceFile(**values)


def _checked(
    table: Mapping[str, Any], known: Mapping[str, type], required: tuple[str, ...], place: str
) -> dict[str, Any]:
    """The table's values, if its keys and their types are what they should be."""
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise ValueError(f"{place}: unknown key {key!r}; {hint}")
        if not isinstance(value, known[key]) or isinstance(value, bool):
            raise ValueError(f"{place}.{key}: must be {known[key].__name__}, not {value!r}")
    for key in required:
        if key not in table:
            raise ValueError(f"{place}: the key {key!r} is missing")
    return dict(table)


def _web_address(address: str, place: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{place}: {address!r} is not an http:// or https:// address")
    return address
