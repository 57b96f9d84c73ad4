"""A download under way: the file ``NAME.part`` and what the server said about it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from io import FileIO
from pathlib import Path
from typing import Self

from byteloom.atomic import atomic_write, sync_folder


@dataclass(frozen=True)
class Validators:
    """By which a server recognises one version of a file (RFC 9110, section 8.8)."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None
    """Size of the whole file in bytes, as far as the server said."""

    @property
    def if_range(self) -> str | None:
        """What to send as ``If-Range``; a weak ETag must not be used there."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified


class PartFile:
    """``TARGET.part``, opened for this process alone; use :meth:`opened`.

    What arrived stays on the disk whatever happens, and ``TARGET.part.json`` beside it holds the
    validators, so that a later process goes on where this one stopped.
    """

    def __init__(self, target: Path, file: FileIO) -> None:
        self.target = target
        self._path = _part_path(target)
        self._notes = self._path.with_name(self._path.name + ".json")
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self.validators = self._read_notes()
        self._finished = False

    @classmethod
    @contextmanager
    def opened(cls, target: Path) -> Iterator[Self]:
        """Opens or makes the part file.

        Raises:
            BlockingIOError: another process is downloading the same file.
        """
        with _open_locked(target) as file:
            part = cls(target, file)
            try:
                yield part
            finally:
                # A call that got nothing leaves nothing.
                if not part.size and not part._finished:
                    part.discard()

    def write(self, data: bytes) -> None:
        """Appends what arrived."""
        view = memoryview(data)
        while view:  # a raw file may take less than all
            written = self._file.write(view)
            view = view[written:]
            self.size += written

    def restart(self, validators: Validators) -> None:
        """Forgets what is there; what comes next is a file with these validators."""
        self._file.seek(0)
        self._file.truncate()
        self.size = 0
        self.validators = validators
        with atomic_write(self._notes) as notes:
            notes.write(json.dumps(asdict(validators), indent=2).encode())

    def sha256(self) -> str:
        """Checksum of what is there."""
        self._file.seek(0)
        digest = hashlib.file_digest(self._file, "sha256").hexdigest()
        self._file.seek(0, os.SEEK_END)
        return digest

    def finish(self) -> None:
        """Gives the file its final name; it is complete and on the disk."""
        os.fsync(self._file.fileno())
        self._path.replace(self.target)
        self._finished = True
        self._notes.unlink(missing_ok=True)
        sync_folder(self.target.parent)

    def discard(self) -> None:
        """Removes what turned out to be wrong."""
        self._path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def _read_notes(self) -> Validators | None:
        with suppress(FileNotFoundError, ValueError, TypeError):
            found = json.loads(self._notes.read_bytes())
            return Validators(**{field.name: found[field.name] for field in fields(Validators)})
        return None


def _part_path(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _open_locked(target: Path) -> FileIO:
    """Opens the part file and locks it; the lock goes with the process, however it ends."""
    path = _part_path(target)
    while True:
        # Unbuffered: what was received is in the file, not in a buffer that an abort loses.
        file = FileIO(path, "a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise BlockingIOError(
                f"another process is downloading {target} (it holds {path.name}); wait for it"
            ) from None
        # Between open and lock another process may have finished and renamed the file away.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()
