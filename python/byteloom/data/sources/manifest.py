"""``manifest.json``: what lies in a folder of text, from where, and how to know it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from byteloom.atomic import atomic_write

NAME = "manifest.json"


@dataclass(frozen=True)
class Entry:
    """One file of the folder."""

    role: str
    """``train`` or ``valid``."""
    size: int
    """In bytes."""
    sha256: str
    modified_ns: int
    """Its time of modification when the checksum was taken, in nanoseconds."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else is known: the address and ETag of a download, a count of documents."""

    @classmethod
    def of(cls, path: Path, role: str, sha256: str | None = None, **origin: Any) -> Self:
        """Describes a file; its checksum is computed unless it is known already."""
        state = path.stat()
        return cls(role, state.st_size, sha256 or file_sha256(path), state.st_mtime_ns, origin)

    def looks_unchanged(self, path: Path) -> bool:
        """Whether size and time of modification are what they were: quick, and nearly certain."""
        if not path.is_file():
            return False
        state = path.stat()
        return (state.st_size, state.st_mtime_ns) == (self.size, self.modified_ns)


@dataclass
class Manifest:
    """A folder's contents. Missing or unreadable on the disk, it is empty."""

    source: str
    files: dict[str, Entry] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, source: str) -> Self:
        """Reads the folder's manifest.

        Raises:
            ValueError: the folder holds the text of another source.
        """
        try:
            found = json.loads((folder / NAME).read_bytes())
            names = [one.name for one in fields(Entry)]
            entries = {
                file: Entry(**{name: entry[name] for name in names})
                for file, entry in found["files"].items()
            }
            known, details = str(found["source"]), dict(found["details"])
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return cls(source)
        if known != source:
            raise ValueError(
                f"{folder} holds {known!r} (says its {NAME}), not {source!r}: "
                "choose another folder with -o"
            )
        return cls(source, entries, details)

    def write(self, folder: Path) -> None:
        """Writes the manifest, whole or not at all."""
        with atomic_write(folder / NAME) as file:
            file.write(json.dumps(asdict(self), indent=2).encode() + b"\n")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file of any size, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
