"""``byteloom data`` as a command."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TEXT = b"once upon a time<|endoftext|>" * 5_000
SHA256 = hashlib.sha256(TEXT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves TEXT; under /slow, half of it and then nothing until the end of the test."""

    over = threading.Event()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        if self.path.endswith("missing.txt"):
            self.send_error(404)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(TEXT) - start))
        self.send_header("ETag", '"text"')
        self.send_header("Content-Range", f"bytes {start}-{len(TEXT) - 1}/{len(TEXT)}")
        self.end_headers()
        if self.path.startswith("/slow"):
            self.wfile.write(TEXT[: len(TEXT) // 2])
            self.over.wait(20)
        else:
            self.wfile.write(TEXT[start:])


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Handler.over.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    Handler.over.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def catalog(tmp_path: Path, url: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(
        f'[mine]\ntitle = "my stories"\nlicence = "CC0-1.0"\nbase = "{url}"\n'
        f'[[mine.files]]\nname = "train.txt"\nrole = "train"\nsha256 = "{SHA256}"\n'
        '[[mine.files]]\nname = "valid.txt"\nrole = "valid"\n'
        f'[lost]\nbase = "{url}"\n[[lost.files]]\nname = "missing.txt"\nrole = "train"\n'
        f'[wrong]\nbase = "{url}"\n[[wrong.files]]\nname = "a.txt"\nrole = "train"\n'
        f'sha256 = "{"0" * 64}"\n'
    )
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "byteloom.cli.main", "data", *map(str, arguments)]


def data(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=cwd, timeout=60, check=False
    )


def test_stdlib_twice(tmp_path: Path) -> None:
    first = data("stdlib", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "source files below" in first.stderr
    lines = first.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["train", str(Path("data", "stdlib", "train.txt"))],
        ["valid", str(Path("data", "stdlib", "valid.txt"))],
    ]
    assert "documents)" in lines[0]
    again = data("stdlib", cwd=tmp_path)
    assert again.returncode == 0
    assert "unchanged" in again.stderr
    assert all(line.endswith("reused)") for line in again.stdout.splitlines())


def test_a_download_and_its_reuse(catalog: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = data("mine", "--catalog", catalog, "-o", out, "--json")
    assert first.returncode == 0, first.stderr
    files = json.loads(first.stdout)["files"]
    assert [(f["role"], f["bytes"], f["sha256"], f["reused"]) for f in files] == [
        ("train", len(TEXT), SHA256, False),
        ("valid", len(TEXT), SHA256, False),
    ]
    assert Path(files[0]["path"]).read_bytes() == TEXT
    # Without a terminal there are messages, but no bars.
    assert "%|" not in first.stderr
    assert "\r" not in first.stderr
    again = data("mine", "--catalog", catalog, "-o", out)
    assert again.stdout.count("reused") == 2


def test_a_mirror(catalog: Path, tmp_path: Path, url: str) -> None:
    out = tmp_path / "out"
    done = data("mine", "--catalog", catalog, "-o", out, "--url", f"{url}/mirror/")
    assert done.returncode == 0, done.stderr
    assert f"{url}/mirror/train.txt" in done.stderr


def test_failures_say_why(catalog: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    lost = data("lost", "--catalog", catalog, "-o", out)
    assert (lost.returncode, lost.stdout) == (1, "")
    assert "missing.txt: the server says 404" in lost.stderr
    wrong = data("wrong", "--catalog", catalog, "-o", out)
    assert wrong.returncode == 1
    assert SHA256 in wrong.stderr
    assert "0" * 64 in wrong.stderr
    assert list(out.iterdir()) == []
    for result in (lost, wrong):
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "give a NAME, or --list"),
        (["stdlib", "--check"], 2, "made on this machine"),
        (["owt", "--attempts", "0"], 2, "must be above 0"),
        (["owt", "--timeout", "nan"], 2, "must be above 0"),
        (["owt", "--frobnicate"], 2, "unrecognized arguments"),
        (["tinystory"], 1, "did you mean 'tinystories'?"),
        (["xyzzy"], 1, "there are stdlib, tinystories, owt"),
        (["owt", "--url", "ftp://x"], 1, "not an http:// or https:// address"),
        (["owt", "--catalog", "no.toml"], 1, "no.toml"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    done = data(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_list(catalog: Path) -> None:
    listed = data("--list")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines() if line[0] != " "] == [
        "stdlib",
        "tinystories",
        "owt",
    ]
    mine = json.loads(data("--list", "--catalog", catalog, "--json").stdout)
    assert mine["mine"]["licence"] == "CC0-1.0"
    assert "my stories" in data("--list", "--catalog", catalog).stdout


def test_interrupted_then_finished(catalog: Path, tmp_path: Path, url: str) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        command("mine", "--catalog", catalog, "-o", out, "--url", f"{url}/slow"),
        stderr=subprocess.PIPE,
        text=True,
    )
    part = out / "train.txt.part"
    for _ in range(2000):
        if part.exists() and part.stat().st_size == len(TEXT) // 2:
            break
        threading.Event().wait(0.01)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "interrupted" in message
    assert {path.name for path in out.iterdir()} == {"train.txt.part", "train.txt.part.json"}
    finished = data("mine", "--catalog", catalog, "-o", out)
    assert finished.returncode == 0, finished.stderr
    assert f"{len(TEXT) // 2:,} bytes are here already" in finished.stderr
    assert (out / "train.txt").read_bytes() == TEXT
