"""Published values by name: TOML files from which a section may begin."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Presets:
    """A folder of TOML files; a dataclass that has one as its ``presets`` takes ``preset = NAME``.

    The values of that file come first, those beside ``preset`` override them.
    """

    folder: Path
    """Where the files are, each of them ``NAME.toml``."""
    section: str
    """The table of a file that holds the values."""

    def names(self) -> list[str]:
        """All there are, in alphabetical order."""
        return sorted(path.stem for path in self.folder.glob("*.toml"))

    def path(self, name: object) -> Path:
        """The file.

        Raises:
            ValueError: no preset of that name; the message lists those there are.
        """
        known = self.names()
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(f"no preset {str(name)!r}; {hint}There are {', '.join(known)}")
        return self.folder / f"{name}.toml"

    def values(self, name: object) -> dict[str, Any]:
        """The table.

        Raises:
            ValueError: no preset of that name.
        """
        found: dict[str, Any] = tomllib.loads(self.path(name).read_text("utf-8"))[self.section]
        return found
