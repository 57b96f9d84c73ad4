"""One file over HTTP: resumed after a cut, verified, and never half there under its name."""

from __future__ import annotations

import http.client
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import NoReturn
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from byteloom.data.sources.partial import PartFile, Validators

Notify = Callable[[str], None]

#: Bytes taken from the socket at a time.
_CHUNK = 1 << 18
#: Answers that may be better a little later.
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_RANGE_REFUSED = 416


class DownloadError(OSError):
    """A download that did not work, or gave something else than it should; says which and why."""


@dataclass(frozen=True)
class Patience:
    """How long to bear with a bad connection."""

    timeout: float = 30.0
    """Seconds without a byte after which a connection counts as dead."""
    attempts: int = 6
    """Failures in a row, without a new byte in between, after which to give up."""
    pause: float = 1.0
    """Seconds before the second attempt; doubles with every further failure."""
    longest_pause: float = 30.0


@dataclass(frozen=True)
class Downloaded:
    """What arrived."""

    size: int
    sha256: str
    url: str
    etag: str | None


class _TransientError(Exception):
    """The connection failed in a way that a new attempt may mend."""

    def __init__(self, why: str, retry_after: float = 0.0) -> None:
        super().__init__(why)
        self.retry_after = retry_after


def download(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    patience: Patience | None = None,
    progress: bool = False,
    notify: Notify = lambda message: None,
) -> Downloaded:
    """Downloads ``url`` to ``target``; goes on where an earlier call was stopped.

    The bytes gather in ``TARGET.part``. A cut or silent connection is taken up again with a Range
    request, on condition that the server still has the same version of the file; a file that
    changed is loaded from its beginning. Only what is complete and has the expected size and
    checksum gets the name ``target``.

    Args:
        url: an http or https address.
        target: the file to make; its folder must exist.
        size: bytes that the file must have, if known.
        sha256: checksum that it must have, if known.
        patience: when to try again, and when to stop trying.
        progress: show a bar of the bytes received (only on a terminal).
        notify: is called with a line of text when something is worth telling.

    Raises:
        DownloadError: the server refuses, or cannot be reached for long, or what it sends is not
            what it should be. In the first two cases ``TARGET.part`` stays for a later call.
        BlockingIOError: another process is downloading the same file.
        OSError: the disk is full, for example; ``TARGET.part`` stays.
    """
    patience = patience or Patience()
    with PartFile.opened(target) as part:
        if part.size:
            notify(f"{target.name}: {part.size:,} bytes are here already, going on from there")
        with tqdm(
            desc=target.name,
            total=size,
            initial=part.size,
            unit="B",
            unit_scale=True,
            disable=None if progress else True,
        ) as bar:
            _receive_all(url, part, size, patience, bar, notify)
        found = part.sha256()
        expected = (size, sha256)
        if (size is not None and part.size != size) or (sha256 is not None and found != sha256):
            part.discard()
            raise DownloadError(
                f"{url}: not the expected file: {_describe(part.size, found)}, "
                f"expected {_describe(*expected)}; it was thrown away"
            )
        part.finish()
        etag = part.validators.etag if part.validators else None
        return Downloaded(part.size, found, url, etag)


def _describe(size: int | None, sha256: str | None) -> str:
    parts = [f"{size:,} bytes"] if size is not None else []
    return ", ".join([*parts, f"sha256 {sha256}"] if sha256 else parts)


def _receive_all(
    url: str,
    part: PartFile,
    size: int | None,
    patience: Patience,
    bar: tqdm[NoReturn],
    notify: Notify,
) -> None:
    """Receives until the file is complete, through as many connections as that takes."""
    # The furthest point ever reached, so that a server that makes us begin again and again, or
    # that cuts always at the same place, does not count as progress.
    furthest, failures = part.size, 0
    while not _is_complete(part, size):
        try:
            _receive(url, part, size, patience.timeout, bar)
            return
        except _TransientError as failure:
            why = failure
        if part.size > furthest:
            furthest, failures = part.size, 0
        failures += 1
        if failures >= patience.attempts:
            raise DownloadError(
                f"{url}: gave up after {failures} failures in a row, the last: {why}; "
                f"{part.size:,} bytes are kept in {part.target.name}.part, and the same command "
                "goes on from there"
            )
        pause = min(patience.pause * 2 ** (failures - 1), patience.longest_pause)
        pause = min(max(pause, why.retry_after), 2 * patience.longest_pause)
        notify(f"{part.target.name}: {why} at {part.size:,} bytes; trying again in {pause:.2g} s")
        time.sleep(pause)


def _is_complete(part: PartFile, size: int | None) -> bool:
    """Whether an earlier call received everything but did not come to the end."""
    total = part.validators.total if part.validators else None
    return part.size > 0 and part.size == (total if size is None else size)


def _receive(
    url: str, part: PartFile, size: int | None, timeout: float, bar: tqdm[NoReturn]
) -> None:
    """One connection: asks for what is missing and writes it down as it comes."""
    headers = {"User-Agent": "byteloom", "Accept-Encoding": "identity"}
    known = part.validators
    if part.size and known and known.if_range:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": known.if_range}
    try:
        with urlopen(Request(url, headers=headers), timeout=timeout) as response:
            _follow(response, url, part, size, bar)
    except HTTPError as error:
        error.close()
        if error.code == _RANGE_REFUSED and part.size:
            # There is nothing after what we have: complete, or the file has changed.
            if _range_total(error.headers) == part.size == (known.total if known else None):
                return
            part.restart(Validators(url))
            raise _TransientError("the file has changed on the server") from error
        message = f"the server says {error.code} {error.reason}"
        if error.code in _TRANSIENT:
            raise _TransientError(message, _retry_after(error.headers)) from error
        raise DownloadError(f"{url}: {message}") from error
    except URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise DownloadError(f"{url}: {error.reason}") from error
        raise _TransientError(f"no connection ({error.reason})") from error
    except TimeoutError as error:
        raise _TransientError(f"silence for {timeout:g} s") from error
    except (ConnectionError, http.client.HTTPException, ssl.SSLError) as error:
        raise _TransientError(f"connection cut ({error or type(error).__name__})") from error


def _follow(
    response: http.client.HTTPResponse,
    url: str,
    part: PartFile,
    size: int | None,
    bar: tqdm[NoReturn],
) -> None:
    """Reads an answer to its end: a whole file (200), or the missing rest of it (206)."""
    head = response.headers
    if head.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(
            f"{url}: the server packs the file ({head['Content-Encoding']}) unasked"
        )
    total = _total(response)
    if size is not None and total is not None and total != size:
        raise DownloadError(f"{url}: the server has {total:,} bytes, expected are {size:,}")
    found = Validators(url, head.get("ETag"), head.get("Last-Modified"), total)
    if response.status == http.client.PARTIAL_CONTENT:
        if _range_start(head) != part.size or not _same_version(part.validators, found):
            # It ignored If-Range, or sent another range than asked for: never glue that on.
            part.restart(Validators(url))
            raise _TransientError("the file has changed on the server")
    else:
        part.restart(found)
    bar.total = total if total is not None else size
    bar.n = part.size
    bar.refresh()
    while data := response.read1(_CHUNK):
        part.write(data)
        bar.update(len(data))
    if total is not None and part.size < total:
        raise _TransientError(f"connection cut, {total - part.size:,} bytes before the end")


def _same_version(known: Validators | None, found: Validators) -> bool:
    if known is None:
        return False
    pairs = (
        (known.etag, found.etag),
        (known.last_modified, found.last_modified),
        (known.total, found.total),
    )
    return all(old == new for old, new in pairs if old is not None and new is not None)


def _total(response: http.client.HTTPResponse) -> int | None:
    """Size of the whole file, if the answer tells."""
    if response.status == http.client.PARTIAL_CONTENT:
        return _range_total(response.headers)
    return response.length


def _range_start(head: Message) -> int | None:
    found = re.match(r"bytes (\d+)-", head.get("Content-Range", ""))
    return int(found[1]) if found else None


def _range_total(head: Message) -> int | None:
    found = re.match(r"bytes .*/(\d+)$", head.get("Content-Range", ""))
    return int(found[1]) if found else None


def _retry_after(head: Message) -> float:
    """Seconds that the server asks us to wait; the form that gives a date is not heeded."""
    value = head.get("Retry-After", "")
    return float(value) if value.isdecimal() else 0.0
