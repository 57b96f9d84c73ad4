"""A real HTTP server on loopback that misbehaves as told: one :class:`Answer` a request."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """How to answer one GET. The default is a well-behaved server with ranges."""

    status: int | None = None
    """An error to answer with, instead of the file."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent besides, or in place of, the usual ones."""
    cut_after: int | None = None
    """Bytes of the body after which the connection is closed."""
    stall_after: int | None = None
    """Bytes of the body after which nothing more comes, the connection staying open."""
    lie: int = 0
    """Added to the true Content-Length."""
    content: bytes | None = None
    """Another file in place of the server's."""
    ignore_range: bool = False
    """Send the whole file (200) whatever is asked."""
    ignore_if_range: bool = False
    """Send the range asked for even if the file is not the one that the client began with."""
    wrong_start: int = 0
    """Added to the place from which a range is sent, and said so."""
    chunked: bool = False
    """Send no length, but chunks."""
    redirect: str | None = None
    """Another path to look at."""


class FlakyServer(ThreadingHTTPServer):
    """Serves ``content`` under every path; the ``script``'s answers come first, in order."""

    daemon_threads = True
    # A client that gave up must not print a traceback here.
    handle_error = lambda self, request, client_address: None  # noqa: E731

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.etag: str | None = '"one"'
        self.script: list[Answer] = []
        self.always = Answer()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()
        self.arrived = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def ranges(self) -> list[str | None]:
        """The Range header of every request so far."""
        return [headers.get("range") for _, headers in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FlakyServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        headers = {name.lower(): value for name, value in self.headers.items()}
        server.requests.append((self.path, headers))
        answer = server.script.pop(0) if server.script else server.always
        if answer.redirect:
            self._head(302, {"Location": answer.redirect, "Content-Length": "0"})
            return
        if answer.status:
            self._head(answer.status, {"Content-Length": "0"} | answer.headers)
            return
        content = server.content if answer.content is None else answer.content
        start, status, head = self._choose(headers, answer, len(content))
        body = content[start:]
        if answer.chunked:
            head["Transfer-Encoding"] = "chunked"
        else:
            head["Content-Length"] = str(max(0, len(body) + answer.lie))
        self._head(status, head | answer.headers)
        if status != 416:
            self._send(body, answer)

    def _choose(
        self, headers: dict[str, str], answer: Answer, total: int
    ) -> tuple[int, int, dict[str, str]]:
        """Where to start, with which status and headers."""
        head = {"ETag": self.server.etag} if self.server.etag else {}
        asked = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
        same = headers.get("if-range") == self.server.etag or answer.ignore_if_range
        if not asked or answer.ignore_range or not same:
            return 0, 200, head
        start = int(asked[1])
        if start >= total:
            return total, 416, {"Content-Range": f"bytes */{total}"}
        start += answer.wrong_start
        return start, 206, head | {"Content-Range": f"bytes {start}-{total - 1}/{total}"}

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, body: bytes, answer: Answer) -> None:
        stops = [stop for stop in (answer.cut_after, answer.stall_after) if stop is not None]
        end = min([len(body), *stops])
        # Chunks of a prime length: no border of theirs is one of the client's.
        for i in range(0, end, 1009):
            piece = body[i : min(i + 1009, end)]
            if answer.chunked:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            self.wfile.write(piece)
        self.server.arrived.set()
        if answer.stall_after is not None:
            self.server.over.wait(20)
        if answer.chunked and answer.cut_after is None:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True


@contextmanager
def flaky_server(content: bytes) -> Iterator[FlakyServer]:
    """Runs a server in a thread."""
    server = FlakyServer(content)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        with suppress(OSError):
            server.shutdown()
            server.server_close()
        thread.join(5)
