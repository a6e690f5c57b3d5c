"""A light client: a few connections that each send the next photo when the last is answered.

One process, one thread, uvloop, HTTP written by hand: 0.05 ms of this machine a request, the
same for every server. Photos go out as multipart forms with the field `photo`.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import uvloop

EDGE = b"a-boundary-of-the-benchmark"


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What one run against one server gave."""

    answered: int
    failed: int
    seconds: float
    latencies_ms: list[float]

    @property
    def per_s(self) -> float:
        return self.answered / self.seconds

    def percentile_ms(self, percent: int) -> float:
        return statistics.quantiles(self.latencies_ms, n=100)[percent - 1]


def requests_of(photos: Sequence[bytes]) -> list[bytes]:
    """Return the complete HTTP requests for these photos."""
    requests = []
    for photo in photos:
        body = (
            b'--%b\r\nContent-Disposition: form-data; name="photo"; filename="photo.jpg"\r\n'
            b"Content-Type: image/jpeg\r\n\r\n%b\r\n--%b--\r\n" % (EDGE, photo, EDGE)
        )
        head = (
            b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: multipart/form-data; boundary=%b\r\nContent-Length: %d\r\n\r\n"
            % (EDGE, len(body))
        )
        requests.append(head + body)
    return requests


class Connection(asyncio.Protocol):
    """One keep-alive connection; `stop()` says whether to send no more."""

    def __init__(self, requests: Sequence[bytes], start: int, stop, latencies_ms) -> None:
        self.requests, self.next, self.stop = requests, start, stop
        self.latencies_ms, self.failed = latencies_ms, 0
        self.finished = asyncio.get_running_loop().create_future()
        self.buffer = b""

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        if self.stop():
            self.transport.close()
            return
        self.sent_at = time.perf_counter()
        self.transport.write(self.requests[self.next % len(self.requests)])
        self.next += 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self.latencies_ms.append(1000 * (time.perf_counter() - self.sent_at))
        self.failed += not head.startswith(b"HTTP/1.1 200")
        self.buffer = b""
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(error)


def load(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int = 8,
    seconds: float | None = None,
    count: int | None = None,
) -> Load:
    """Send photos for `seconds`, or `count` of them, over `connections`."""

    async def run() -> Load:
        latencies_ms: list[float] = []
        began = time.perf_counter()

        def stop() -> bool:
            if count is not None:
                return len(latencies_ms) + connections > count
            return time.perf_counter() - began >= (seconds or 0)

        loop = asyncio.get_running_loop()
        opened = [
            (
                await loop.create_connection(
                    lambda i=i: Connection(requests, i * 37, stop, latencies_ms),
                    "127.0.0.1",
                    port,
                )
            )[1]
            for i in range(connections)
        ]
        errors = await asyncio.gather(*(one.finished for one in opened))
        failed = sum(one.failed for one in opened) + sum(error is not None for error in errors)
        return Load(
            answered=len(latencies_ms) - sum(one.failed for one in opened),
            failed=failed,
            seconds=time.perf_counter() - began,
            latencies_ms=latencies_ms,
        )

    return uvloop.run(run())
