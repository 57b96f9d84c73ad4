"""Downloads against a real server that cuts, stalls, lies and changes its mind."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flaky_server import Answer, FlakyServer, flaky_server

from byteloom.data.sources import DownloadError, Patience, download

CONTENT = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HASTE = Patience(timeout=0.4, attempts=3, pause=0.01)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with flaky_server(CONTENT) as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "text.txt"


def names(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()}


def test_a_good_server(server: FlakyServer, target: Path) -> None:
    done = download(server.url, target, size=len(CONTENT), sha256=SHA256, patience=HASTE)
    assert target.read_bytes() == CONTENT
    assert (done.size, done.sha256, done.etag) == (len(CONTENT), SHA256, '"one"')
    assert names(target) == {"text.txt"}
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_nothing_known_in_advance(server: FlakyServer, target: Path) -> None:
    assert download(server.url, target, patience=HASTE).sha256 == SHA256


@pytest.mark.parametrize("content", [b"", b"x"])
def test_tiny_files(server: FlakyServer, target: Path, content: bytes) -> None:
    server.content = content
    assert download(server.url, target, patience=HASTE).size == len(content)
    assert target.read_bytes() == content
    assert names(target) == {"text.txt"}


def test_cuts_are_resumed_where_they_happened(server: FlakyServer, target: Path) -> None:
    # More cuts than attempts: what counts are failures without a new byte in between.
    cuts = [70_000, 1, 50_000, 100_000, 3]
    server.script = [Answer(cut_after=cut) for cut in cuts]
    told: list[str] = []
    download(server.url, target, sha256=SHA256, patience=HASTE, notify=told.append)
    assert target.read_bytes() == CONTENT
    starts = [sum(cuts[:i]) for i in range(len(cuts) + 1)]
    assert server.ranges == [None] + [f"bytes={start}-" for start in starts[1:]]
    assert all(headers["if-range"] == '"one"' for _, headers in server.requests[1:])
    assert len(told) == len(cuts)
    assert "70,000 bytes; trying again" in told[0]


def test_a_stalled_connection_is_dropped_and_resumed(server: FlakyServer, target: Path) -> None:
    server.script = [Answer(stall_after=12_345)]
    begin = time.monotonic()
    download(server.url, target, sha256=SHA256, patience=HASTE)
    assert time.monotonic() - begin < 5
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=12345-"]


def test_a_dead_server_is_given_up_and_what_came_is_kept(server: FlakyServer, target: Path) -> None:
    server.script = [Answer(cut_after=5_000)]
    server.always = Answer(cut_after=0)
    with pytest.raises(DownloadError, match=r"gave up after 3 failures.*5,000 bytes are kept"):
        download(server.url, target, sha256=SHA256, patience=HASTE)
    assert len(server.requests) == 3  # the cut that brought bytes is the first failure
    assert names(target) == {"text.txt.part", "text.txt.part.json"}
    server.always = Answer()
    download(server.url, target, sha256=SHA256, patience=HASTE)
    assert target.read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=5000-"
    assert names(target) == {"text.txt"}


def test_nobody_listens(server: FlakyServer, target: Path) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match="no connection"):
        download(server.url, target, patience=HASTE)
    assert names(target) == set()


def test_content_length_too_long(server: FlakyServer, target: Path) -> None:
    server.always = Answer(lie=1_000)
    with pytest.raises(DownloadError, match="gave up"):
        download(server.url, target, patience=HASTE)
    assert not target.exists()


def test_content_length_too_long_for_what_is_known(server: FlakyServer, target: Path) -> None:
    server.always = Answer(lie=1_000)
    with pytest.raises(DownloadError, match=r"server has 301,000 bytes, expected are 300,000"):
        download(server.url, target, size=len(CONTENT), patience=HASTE)
    assert names(target) == set()
    assert len(server.requests) == 1


def test_content_length_too_short(server: FlakyServer, target: Path) -> None:
    server.always = Answer(lie=-1_000)
    with pytest.raises(DownloadError, match=r"299,000 bytes, expected are 300,000"):
        download(server.url, target, size=len(CONTENT), patience=HASTE)
    with pytest.raises(DownloadError, match="not the expected file") as caught:
        download(server.url, target, sha256=SHA256, patience=HASTE)
    assert hashlib.sha256(CONTENT[:-1_000]).hexdigest() in str(caught.value)
    assert names(target) == set()


def test_wrong_bytes_are_refused_with_both_checksums(server: FlakyServer, target: Path) -> None:
    wrong = bytearray(CONTENT)
    wrong[150_000] ^= 1
    server.always = Answer(content=bytes(wrong))
    with pytest.raises(DownloadError) as caught:
        download(server.url, target, size=len(CONTENT), sha256=SHA256, patience=HASTE)
    assert SHA256 in str(caught.value)
    assert hashlib.sha256(wrong).hexdigest() in str(caught.value)
    assert names(target) == set()


def test_an_existing_file_is_replaced_only_by_a_good_one(server: FlakyServer, target: Path) -> None:
    target.write_bytes(b"old")
    server.script = [Answer(content=b"bad")]
    with pytest.raises(DownloadError):
        download(server.url, target, sha256=SHA256, patience=HASTE)
    assert target.read_bytes() == b"old"
    download(server.url, target, sha256=SHA256, patience=HASTE)
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_is_loaded_from_the_beginning(
    server: FlakyServer, target: Path
) -> None:
    server.script = [Answer(cut_after=100_000)]
    server.always = Answer(ignore_range=True)
    download(server.url, target, patience=HASTE)
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_without_validators_nothing_is_glued(server: FlakyServer, target: Path) -> None:
    server.etag = None
    server.script = [Answer(cut_after=100_000)]
    download(server.url, target, patience=HASTE)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_last_modified_serves_where_the_etag_is_weak(server: FlakyServer, target: Path) -> None:
    server.etag = 'W/"one"'
    date = "Mon, 23 Nov 2026 08:00:00 GMT"
    server.always = Answer(headers={"Last-Modified": date}, ignore_if_range=True)
    server.script = [Answer(headers={"Last-Modified": date}, cut_after=100_000)]
    download(server.url, target, patience=HASTE)
    assert target.read_bytes() == CONTENT
    assert [headers.get("if-range") for _, headers in server.requests] == [None, date]


@pytest.mark.parametrize("ignore_if_range", [False, True])
def test_a_file_that_changes_between_is_not_glued(
    server: FlakyServer, target: Path, ignore_if_range: bool
) -> None:
    server.script = [Answer(cut_after=100_000)]
    with pytest.raises(DownloadError, match="gave up"):
        download(server.url, target, patience=Patience(timeout=1, attempts=1, pause=0))
    assert (target.parent / "text.txt.part").stat().st_size == 100_000
    server.etag, server.content = '"two"', CONTENT[::-1]
    server.always = Answer(ignore_if_range=ignore_if_range)
    download(server.url, target, patience=HASTE)
    assert target.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("size", [100_000, 50_000])
def test_a_file_that_shrank_is_not_glued(server: FlakyServer, target: Path, size: int) -> None:
    server.script = [Answer(cut_after=100_000)]
    with pytest.raises(DownloadError):
        download(server.url, target, patience=Patience(timeout=1, attempts=1))
    server.content = CONTENT[-size:]  # under the same ETag
    download(server.url, target, patience=HASTE)
    assert target.read_bytes() == CONTENT[-size:]


def test_a_range_that_starts_elsewhere_is_not_glued(server: FlakyServer, target: Path) -> None:
    server.script = [Answer(cut_after=100_000), Answer(wrong_start=7)]
    download(server.url, target, patience=HASTE)
    assert target.read_bytes() == CONTENT


def test_a_part_file_of_somebody_else_is_not_trusted(server: FlakyServer, target: Path) -> None:
    part = target.with_name("text.txt.part")
    part.write_bytes(b"garbage" * 1000)
    download(server.url, target, sha256=SHA256, patience=HASTE)
    assert target.read_bytes() == CONTENT
    part.write_bytes(b"x" * 500_000)
    part.with_name("text.txt.part.json").write_text('{"url": 5')
    download(server.url, target, patience=HASTE)
    assert target.read_bytes() == CONTENT


def test_a_part_file_that_is_too_long_is_not_trusted(server: FlakyServer, target: Path) -> None:
    server.script = [Answer(cut_after=100_000)]
    with pytest.raises(DownloadError):
        download(server.url, target, patience=Patience(timeout=1, attempts=1))
    target.with_name("text.txt.part").write_bytes(CONTENT + b"and more")
    download(server.url, target, patience=HASTE)
    assert target.read_bytes() == CONTENT


def test_all_there_but_not_renamed(server: FlakyServer, target: Path) -> None:
    server.script = [Answer(cut_after=100_000)]
    with pytest.raises(DownloadError):
        download(server.url, target, patience=Patience(timeout=1, attempts=1))
    target.with_name("text.txt.part").write_bytes(CONTENT)
    download(server.url, target, patience=HASTE)
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 1


@pytest.mark.parametrize("chunked_cut", [None, 200_000])
def test_chunks_without_a_length(
    server: FlakyServer, target: Path, chunked_cut: int | None
) -> None:
    server.script = [Answer(chunked=True, cut_after=chunked_cut)]
    server.always = Answer(chunked=True)
    download(server.url, target, sha256=SHA256, patience=HASTE)
    assert target.read_bytes() == CONTENT


def test_errors_that_pass(server: FlakyServer, target: Path) -> None:
    server.script = [
        Answer(status=500),
        Answer(status=503),
        Answer(cut_after=9),
        Answer(status=429),
    ]
    download(server.url, target, patience=HASTE)
    assert target.read_bytes() == CONTENT


def test_retry_after_is_heeded(server: FlakyServer, target: Path) -> None:
    server.script = [Answer(status=503, headers={"Retry-After": "1"})]
    begin = time.monotonic()
    download(server.url, target, patience=HASTE)
    assert time.monotonic() - begin >= 1


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_errors_that_stay_are_said_at_once(server: FlakyServer, target: Path, status: int) -> None:
    server.script = [Answer(status=status)]
    with pytest.raises(DownloadError, match=f"{server.url}/text: the server says {status}"):
        download(f"{server.url}/text", target, patience=HASTE)
    assert len(server.requests) == 1
    assert names(target) == set()
    download(server.url, target, patience=HASTE)
    assert target.read_bytes() == CONTENT


def test_a_page_packed_unasked_is_refused(server: FlakyServer, target: Path) -> None:
    server.always = Answer(headers={"Content-Encoding": "gzip"})
    with pytest.raises(DownloadError, match="packs the file"):
        download(server.url, target, patience=HASTE)


def test_a_redirect_keeps_the_range(server: FlakyServer, target: Path) -> None:
    hop = Answer(redirect="/elsewhere")
    server.script = [hop, Answer(cut_after=1_000), hop]
    download(server.url, target, patience=HASTE)
    assert target.read_bytes() == CONTENT
    assert server.requests[-1][0] == "/elsewhere"
    assert server.ranges == [None, None, "bytes=1000-", "bytes=1000-"]


def test_one_process_at_a_time(server: FlakyServer, target: Path) -> None:
    server.script = [Answer(stall_after=1_000)]
    slow = Patience(timeout=10, attempts=1)
    failures: list[BaseException] = []

    def first() -> None:
        try:
            download(server.url, target, patience=slow)
        except DownloadError as error:
            failures.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert server.arrived.wait(5)
        with pytest.raises(BlockingIOError, match="another process is downloading"):
            download(server.url, target, patience=HASTE)
    finally:
        server.over.set()
        thread.join(15)
    assert len(failures) == 1
    download(server.url, target, sha256=SHA256, patience=HASTE)
    assert target.read_bytes() == CONTENT


def run_download(server: FlakyServer, target: Path, before: str = "") -> subprocess.Popen[str]:
    """The same in a process of its own, which may be interrupted or limited."""
    code = f"""
    {before}
    from pathlib import Path
    from byteloom.data.sources import Patience, download
    download({server.url!r}, Path({str(target)!r}), patience=Patience(timeout=20, attempts=1))
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_goes_on(
    server: FlakyServer, target: Path, sign: signal.Signals
) -> None:
    server.script = [Answer(stall_after=200_000)]
    process = run_download(server, target)
    part = target.with_name("text.txt.part")
    deadline = time.monotonic() + 20
    while not part.exists() or part.stat().st_size < 200_000:
        assert time.monotonic() < deadline, process.poll()
        time.sleep(0.01)
    process.send_signal(sign)
    process.communicate(timeout=5)
    assert process.returncode != 0
    assert names(target) == {"text.txt.part", "text.txt.part.json"}
    download(server.url, target, sha256=SHA256, patience=HASTE)
    assert target.read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=200000-"


def test_a_full_disk(server: FlakyServer, target: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    process = run_download(server, target, limit)
    _, message = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "OSError: [Errno 27] File too large" in message
    assert not target.exists()
    download(server.url, target, sha256=SHA256, patience=HASTE)
    assert target.read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=100000-"
