"""The installed Python's own source text: a real corpus that is on every machine already."""

from __future__ import annotations

import hashlib
import os
import platform
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from byteloom.atomic import atomic_write
from byteloom.data.sources.folder import TextFile
from byteloom.data.sources.manifest import Entry, Manifest
from byteloom.data.sources.transfer import Notify

#: Stands after every document.
END_OF_TEXT = "<|endoftext|>"
#: Out of 1000 files, how many go to validation.
_VALID_PER_MILLE = 50
#: Folders whose files are not the standard library's, or hold tables and not prose or code.
_SKIPPED_FOLDERS = frozenset(
    ("site-packages", "dist-packages", "__pycache__", "encodings", "pydoc_data", "ensurepip")
)
#: Files that an administrator or a build writes: they say where things lie on one machine.
_SKIPPED_FILES = ("sitecustomize.py", "usercustomize.py", "_sysconfigdata")
#: Part of the identity of the result: raise it when the selection or the form changes.
_SELECTION = 1


@dataclass(frozen=True)
class Document:
    """One source file."""

    name: str
    """Path below the library's folder, with forward slashes."""
    text: bytes
    """Valid UTF-8, without the special token."""


def stdlib_folder() -> Path:
    """Where this Python keeps its library.

    Raises:
        FileNotFoundError: it has none as files (a library inside a zip, say).
    """
    folder = Path(sysconfig.get_path("stdlib"))
    if not folder.is_dir():
        raise FileNotFoundError(f"this Python keeps no library as files: no folder {folder}")
    return folder


def is_validation(name: str) -> bool:
    """The side of a file: decided by its name alone, so that it is the same everywhere.

    Example:
        >>> is_validation("argparse.py"), is_validation("ast.py")
        (False, False)
    """
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8], "big") % 1000 < _VALID_PER_MILLE


def list_sources(library: Path) -> list[tuple[str, Path]]:
    """Names and paths of the library's source files, sorted by name.

    Links are left out (they lead elsewhere), and so is what is no part of the library; tests are
    in, for they are more than half of its text.
    """
    found = []
    for folder, below, files in os.walk(library):
        below[:] = [name for name in below if name not in _SKIPPED_FOLDERS]
        for file in files:
            path = Path(folder, file)
            if file.endswith(".py") and not file.startswith(_SKIPPED_FILES):
                found.append((path.relative_to(library).as_posix(), path))
    return sorted((name, path) for name, path in found if path.is_file() and not path.is_symlink())


def read_documents(sources: list[tuple[str, Path]]) -> Iterator[Document]:
    """The documents among these files: what is empty, unreadable or no UTF-8 is passed over."""
    for name, path in sources:
        try:
            text = path.read_bytes()
            text.decode()
        except (OSError, UnicodeDecodeError):
            continue
        if text.strip() and END_OF_TEXT.encode() not in text:
            yield Document(name, text)


def write_stdlib(
    folder: Path,
    *,
    library: Path | None = None,
    force: bool = False,
    notify: Notify = lambda message: None,
) -> list[TextFile]:
    """Writes ``train.txt`` and ``valid.txt`` into a folder; what is there and right is reused.

    About one file in twenty is for validation. After every document stands ``<|endoftext|>``.

    Args:
        folder: where the files go; made if it is missing.
        library: another folder of Python sources than the installed library.
        force: write anew in any case.
        notify: is called with a line of text when something is worth telling.

    Raises:
        FileNotFoundError: this Python has no library as files.
        ValueError: too few files there to make both sides of.
    """
    library = library or stdlib_folder()
    sources = list_sources(library)
    identity = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "library": str(library),
        "selection": _SELECTION,
        "listing": _listing_sha256(sources),
    }
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest.read(folder, "stdlib")
    whole = {"train.txt", "valid.txt"} == set(manifest.files) and manifest.details == identity
    if whole and not force:
        paths = {folder / name: entry for name, entry in manifest.files.items()}
        if all(entry.looks_unchanged(path) for path, entry in paths.items()):
            notify(f"{folder}: made from {identity['python']} before, and unchanged")
            return [_text_file(path, entry, reused=True) for path, entry in paths.items()]
    notify(f"{folder}: from the {len(sources):,} source files below {library}")
    manifest = Manifest("stdlib", _write_both(folder, sources, library), identity)
    manifest.write(folder)
    documents = sum(entry.origin["documents"] for entry in manifest.files.values())
    if passed_over := len(sources) - documents:
        notify(f"{folder}: {passed_over:,} of them are empty, or cannot be read as UTF-8")
    return [
        _text_file(folder / name, entry, reused=False) for name, entry in manifest.files.items()
    ]


def _write_both(folder: Path, sources: list[tuple[str, Path]], library: Path) -> dict[str, Entry]:
    """Writes both sides side by side; both appear only when both are complete."""
    counts = {"train": 0, "valid": 0}
    digests = {role: hashlib.sha256() for role in counts}
    with atomic_write(folder / "train.txt") as train, atomic_write(folder / "valid.txt") as valid:
        files = {"train": train, "valid": valid}
        for document in read_documents(sources):
            role = "valid" if is_validation(document.name) else "train"
            data = document.text + END_OF_TEXT.encode()
            files[role].write(data)
            digests[role].update(data)
            counts[role] += 1
        if not all(counts.values()):
            raise ValueError(
                f"{library}: {sum(counts.values())} source file(s) there are too few for a "
                "training and a validation text; install Python's standard library"
            )
    return {
        f"{role}.txt": Entry.of(
            folder / f"{role}.txt", role, digests[role].hexdigest(), documents=count
        )
        for role, count in counts.items()
    }


def _text_file(path: Path, entry: Entry, *, reused: bool) -> TextFile:
    return TextFile(path, entry.role, entry.size, entry.sha256, reused, entry.origin["documents"])


def _listing_sha256(sources: list[tuple[str, Path]]) -> str:
    """Changes whenever a file of the library does, by name, size or time; reads none of them."""
    digest = hashlib.sha256()
    for name, path in sources:
        state = path.stat()
        digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
