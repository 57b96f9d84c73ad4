"""Files that appear under their name complete, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a temporary file beside ``path`` and renames it to ``path`` when the block succeeds.

    The content is on the disk before the name is, so a crash leaves the old file or the new one.
    If the block fails, is interrupted, or the disk is full, the temporary file is removed.

    Example:
        >>> target = Path(tempfile.mkdtemp()) / "greeting.txt"
        >>> with atomic_write(target) as file:
        ...     _ = file.write(b"hello")
        >>> target.read_bytes()
        b'hello'
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield cast(BinaryIO, file)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; the result gets the permissions of any new file.
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    sync_folder(target.parent)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Makes a folder beside ``path``, to be filled, and renames it when the block succeeds.

    If the block fails or is interrupted, the folder is removed with all that is in it.

    Raises:
        ValueError: something is there already, and is no empty folder.
        FileNotFoundError: the folder for it is missing.

    Example:
        >>> target = Path(tempfile.mkdtemp()) / "words"
        >>> with atomic_folder(target) as folder:
        ...     _ = (folder / "greeting.txt").write_text("hello")
        >>> (target / "greeting.txt").read_text()
        'hello'
    """
    target = Path(path).absolute()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"no folder {target.parent} to write {target.name} into")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} is there already: name a folder that is not")
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        yield folder
        for file in folder.rglob("*"):
            if file.is_file():
                with file.open("rb") as written:
                    os.fsync(written.fileno())
        mask = os.umask(0)
        os.umask(mask)
        folder.chmod(0o777 & ~mask)
        folder.replace(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    sync_folder(target.parent)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name beside ``path`` for those who open files themselves; otherwise as atomic_write.

    Example:
        >>> target = Path(tempfile.mkdtemp()) / "greeting.txt"
        >>> with atomic_path(target) as other:
        ...     _ = other.write_bytes(b"hello")
        >>> target.read_bytes()
        b'hello'
    """
    target = Path(path)
    with tempfile.TemporaryDirectory(
        prefix=f".{target.name}.", suffix=".part", dir=target.parent
    ) as folder:
        written = Path(folder) / target.name
        yield written
        with written.open("rb+") as file:
            os.fsync(file.fileno())
        written.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename in ``folder`` survive a power cut, where the system can (not on Windows)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
