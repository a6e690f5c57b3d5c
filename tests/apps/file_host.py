"""A real HTTP server on loopback that serves one file, as well or as badly as it is told."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class FileHost:
    """What the server does; tests change it between two requests.

    Attributes:
        data: the file; every path has it.
        ranges: whether Range is honoured.
        etag: its version.
        cut_after: bytes of a body after which the connection is closed, for each next answer.
        statuses: what the next requests are answered with instead of the file.
        hold: if set, an answer stops half-way until the event is set.
        asked: the Range header of every request that came, empty if it had none.
    """

    data: bytes
    ranges: bool = True
    etag: str = '"one"'
    length: bool = True
    kind: str = "application/x-tar"
    cut_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    hold: threading.Event | None = None
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(host: FileHost) -> Iterator[FileHost]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.asked.append(self.headers.get("Range", ""))
            if host.statuses:
                self.send_response(host.statuses.pop(0))
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._send(self._start())

        def _start(self) -> int:
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            same = self.headers.get("If-Range", host.etag) == host.etag
            return int(wanted[1]) if wanted and host.ranges and same else 0

        def _send(self, start: int) -> None:
            if start >= len(host.data) > 0:
                self.send_error(416)
                return
            body = host.data[start:]
            self.send_response(206 if start else 200)
            if start:
                end = len(host.data) - 1
                self.send_header("Content-Range", f"bytes {start}-{end}/{len(host.data)}")
            if host.length:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", host.kind)
            self.send_header("ETag", host.etag)
            self.end_headers()
            if host.cut_after:
                body = body[: host.cut_after.pop(0)]
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            if host.hold is not None:
                host.hold.wait(60)
            self.wfile.write(body[len(body) // 2 :])
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base
            """Say nothing."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that was killed is what is tested here."""

    server = Server(("127.0.0.1", 0), Handler)
    host.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield host
    finally:
        if host.hold is not None:
            host.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()
