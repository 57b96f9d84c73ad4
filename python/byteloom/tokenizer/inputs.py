"""What a user may give as input: a path, a glob, or several of them -> a list of files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

Inputs: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def resolve_inputs(inputs: Inputs) -> list[str]:
    """Turns paths and globs into existing files; the order given, each glob's matches sorted.

    A name that exists is never taken as a glob, so that ``notes[1].txt`` is found.

    Raises:
        FileNotFoundError: a path that does not exist, or a glob that matches nothing.
        IsADirectoryError: a folder.
        ValueError: no inputs at all.

    Example:
        >>> import tempfile; folder = Path(tempfile.mkdtemp())
        >>> for name in ("b.txt", "a.txt"): _ = (folder / name).write_text("x")
        >>> [Path(p).name for p in resolve_inputs(folder / "*.txt")]
        ['a.txt', 'b.txt']
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    if not given:
        raise ValueError("no input files: give at least one path or glob")
    files: list[str] = []
    for item in given:
        name = os.fspath(item)
        if Path(name).is_dir():
            raise IsADirectoryError(f"{name} is a folder; name its files, e.g. '{name}/*.txt'")
        if Path(name).exists():
            files.append(name)
        elif glob.has_magic(name):
            matches = sorted(
                path for path in glob.glob(name, recursive=True) if Path(path).is_file()
            )
            if not matches:
                raise FileNotFoundError(f"no file matches {name!r}")
            files.extend(matches)
        else:
            raise FileNotFoundError(f"no such file: {name}")
    return files
