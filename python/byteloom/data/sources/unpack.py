"""A gzip archive -> the text in it, piece by piece, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

from tqdm import tqdm

from byteloom.atomic import atomic_write
from byteloom.data.sources.transfer import DownloadError

_CHUNK = 1 << 20


def unpack_gzip(
    archive: Path,
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    progress: bool = False,
) -> str:
    """Unpacks ``archive`` to ``target``, which appears when it is complete and verified.

    Args:
        archive: a gzip file of one or more members.
        target: the file to make.
        size: bytes that the text must have, if known.
        sha256: checksum that it must have, if known.
        progress: show a bar of the bytes written (only on a terminal).

    Returns:
        The text's SHA-256.

    Raises:
        DownloadError: the archive is damaged, or the text is not the expected one.
    """
    digest, written = hashlib.sha256(), 0
    quiet = None if progress else True
    with (
        atomic_write(target) as file,
        tqdm(desc=target.name, total=size, unit="B", unit_scale=True, disable=quiet) as bar,
        gzip.open(archive, "rb") as text,
    ):
        try:
            while data := text.read(_CHUNK):
                written += file.write(data)
                digest.update(data)
                bar.update(len(data))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DownloadError(f"{archive}: damaged archive: {error}") from error
        found = digest.hexdigest()
        if (size is not None and written != size) or (sha256 is not None and found != sha256):
            expected = f"{size if size is None else f'{size:,}'} bytes, sha256 {sha256}"
            raise DownloadError(
                f"{archive}: does not hold the expected text: {written:,} bytes, "
                f"sha256 {found}, expected {expected}"
            )
    return found
