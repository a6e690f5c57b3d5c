"""A webhook that remembers what it got and answers as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the webhook answers; status 0 hangs up instead."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    after_s: float = 0.0


@dataclass
class Received:
    """One request."""

    at: float
    headers: dict[str, str]
    body: bytes

    @property
    def update(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Receiver:
    """The webhook while the `with` block lasts.

    Attributes:
        received: every request, in order of arrival.
        answer: decides each reply.
    """

    def __init__(self, answer: Callable[[Received], Reply] = lambda _: Reply()) -> None:
        self.received: list[Received] = []
        self.answer = answer
        self._server = _server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def ids(self) -> list[int]:
        return [one.update["update_id"] for one in self.received]


def _server(receiver: Receiver) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            got = Received(time.monotonic(), headers, body)
            receiver.received.append(got)
            reply = receiver.answer(got)
            time.sleep(reply.after_s)
            if reply.status == 0:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True  # a kept-alive connection would hold the test up
        request_queue_size = 128

    return Server(("127.0.0.1", 0), Handler)
