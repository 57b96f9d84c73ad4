"""What a user may give as input -> the files to read, and ``-`` for standard input.

What is in a file, its name says, unless a format is given; the Rust core reads it, a little at a
time:

- ``.gz``, ``.zst``: compressed, in any number of members or frames;
- ``.jsonl``, also compressed: an object a line; the string under the key ``column`` is a document;
- ``.parquet``: every row of the string or binary column ``column`` is a document;
- anything else, and standard input: one document of plain text.

No pretoken and no special token goes across from one document to the next.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

Inputs: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

#: Standard input. A file of this name is ``./-``.
STDIN = "-"


def resolve_inputs(inputs: Inputs) -> list[str]:
    """Turns paths, folders and globs into existing files, in the order given.

    A folder stands for all files below it, except hidden ones and those in hidden folders. The
    files of a folder or glob are sorted. A name that exists is never taken as a glob, so that
    ``notes[1].txt`` is found.

    Raises:
        FileNotFoundError: a path that does not exist, a glob that matches no file, or a folder
            without files.
        ValueError: no inputs at all.

    Example:
        >>> import tempfile; folder = Path(tempfile.mkdtemp())
        >>> for name in ("b.txt", "a.txt", ".hidden"): _ = (folder / name).write_text("x")
        >>> [Path(p).name for p in resolve_inputs(folder / "*.txt")]
        ['a.txt', 'b.txt']
        >>> resolve_inputs([folder, "-"]) == [*resolve_inputs(folder / "*"), "-"]
        True
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    if not given:
        raise ValueError("no input files: give at least one path or glob")
    files: list[str] = []
    for item in given:
        name = os.fspath(item)
        if name == STDIN:
            files.append(name)
        elif Path(name).is_dir():
            files.extend(_files_below(name))
        elif Path(name).exists():
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


def _files_below(folder: str) -> list[str]:
    """The regular files of a folder and its folders, sorted, without hidden ones."""
    files: list[str] = []
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(parent, name) for name in names if not name.startswith("."))
        files.extend(str(path) for path in paths if path.is_file())
    if not files:
        raise FileNotFoundError(f"the folder {folder} has no files that are not hidden")
    return sorted(files)


def _refuse(error: OSError) -> None:
    """A folder that cannot be listed is an error, not an empty one."""
    raise error
