"""A source of the catalogue -> its files in a folder, downloaded, unpacked, verified, or reused."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from byteloom.data.sources.catalog import Source, SourceFile
from byteloom.data.sources.manifest import Entry, Manifest, file_sha256
from byteloom.data.sources.transfer import DownloadError, Notify, Patience, download
from byteloom.data.sources.unpack import unpack_gzip


@dataclass(frozen=True)
class TextFile:
    """A file of text that is ready for use."""

    path: Path
    role: str
    """``train`` or ``valid``."""
    size: int
    """In bytes."""
    sha256: str
    reused: bool
    """Whether it was there already."""
    documents: int | None = None
    """How many texts it holds, where that is known."""


def fetch(
    source: Source,
    folder: Path,
    *,
    force: bool = False,
    check: bool = False,
    patience: Patience | None = None,
    progress: bool = False,
    notify: Notify = lambda message: None,
) -> list[TextFile]:
    """Brings a source's files into a folder; what is there and right is not loaded again.

    Args:
        source: from :func:`load_catalog`.
        folder: where the files go; made if it is missing.
        force: load every file anew.
        check: compute the checksums of files that are there, even if they look unchanged.
        patience: for bad connections.
        progress: show bars (only on a terminal).
        notify: is called with a line of text when something is worth telling.

    Raises:
        DownloadError: see :func:`download`; files that are complete stay.
        ValueError: a file that is there is not the one it should be.
        OSError: not enough room on the disk, no permission, ...
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest.read(folder, source.name)
    result = []
    for file in source.files:
        entry = None if force else _reuse(file, folder, manifest, check, notify)
        reused = entry is not None
        if entry is None:
            _require_room(file, folder)
            entry = _load(source, file, folder, force, patience, progress, notify)
            _tell_change(file, manifest.files.get(file.name), entry, notify)
        if manifest.files.get(file.name) != entry:
            manifest.files[file.name] = entry
            manifest.details = {"page": source.page, "licence": source.licence}
            manifest.write(folder)
        path = folder / file.name
        result.append(TextFile(path, file.role, entry.size, entry.sha256, reused))
    return result


def _reuse(
    file: SourceFile, folder: Path, manifest: Manifest, check: bool, notify: Notify
) -> Entry | None:
    """The entry of a file that is there already, if it is the right one."""
    path, entry = folder / file.name, manifest.files.get(file.name)
    if not path.exists():
        return None
    expected = file.sha256 or (entry.sha256 if entry else None)
    if entry and not check and entry.looks_unchanged(path) and entry.sha256 == expected:
        return entry
    notify(f"{path}: is there; computing its checksum")
    found = file_sha256(path)
    if expected is not None and found != expected:
        raise ValueError(
            f"{path} is not the file it should be: sha256 {found}, expected {expected}; "
            "move it away, or use --force to load it anew"
        )
    if expected is None:
        notify(f"{path}: no checksum is known; taken as it is, sha256 {found}")
    return Entry.of(
        path, file.role, found, **(entry.origin if entry else {"found": "on this disk"})
    )


def _load(
    source: Source,
    file: SourceFile,
    folder: Path,
    force: bool,
    patience: Patience | None,
    progress: bool,
    notify: Notify,
) -> Entry:
    url, path = source.url(file), folder / file.name
    arrival = _arrival(file, folder)
    origin: dict[str, str | None] = {"url": url}
    found = file.packed and arrival.exists() and not force
    if found:
        # The archive is complete (else it would not have this name), its unpacking was not.
        notify(f"{arrival}: is there, not loaded again")
    else:
        notify(f"{file.name}: from {url}")
        arrived = download(
            url,
            arrival,
            size=file.download_size if file.packed else file.size,
            sha256=None if file.packed else file.sha256,
            patience=patience,
            progress=progress,
            notify=notify,
        )
        origin |= {"etag": arrived.etag, "loaded": time.strftime("%Y-%m-%d")}
        if not file.packed:
            return Entry.of(path, file.role, arrived.sha256, **origin)
    notify(f"{file.name}: unpacking")
    try:
        sha256 = unpack_gzip(arrival, path, size=file.size, sha256=file.sha256, progress=progress)
    except DownloadError as error:
        if found:
            raise DownloadError(f"{error}; remove it, or use --force to load it anew") from error
        arrival.unlink(missing_ok=True)
        raise
    arrival.unlink(missing_ok=True)
    return Entry.of(path, file.role, sha256, **origin)


def _arrival(file: SourceFile, folder: Path) -> Path:
    """Where the download goes: the file itself, or the archive that it is unpacked from."""
    return folder / (file.remote.rsplit("/", 1)[-1] if file.packed else file.name)


def _require_room(file: SourceFile, folder: Path) -> None:
    """Says before a long download, not after it, that the disk is too small."""
    arrival = _arrival(file, folder)
    needed = sum(size or 0 for size in (file.size, file.download_size if file.packed else None))
    here = 0
    for path in (arrival, arrival.with_name(arrival.name + ".part")):
        if path.exists() and path != folder / file.name:
            here = max(here, path.stat().st_size)
    free = shutil.disk_usage(folder).free
    if needed - here > free:
        raise OSError(
            f"{folder}: {file.name} needs {(needed - here) / 1e9:.1f} GB, "
            f"the disk has {free / 1e9:.1f} GB left"
        )


def _tell_change(file: SourceFile, old: Entry | None, new: Entry, notify: Notify) -> None:
    if old and old.sha256 != new.sha256:
        notify(f"{file.name}: is not the file of last time: sha256 {old.sha256} -> {new.sha256}")
