"""A request's body becomes the bytes of one photo, or is held whole, within limits.

Owns size and time; forms are parsed in `bodies.py`. Knows nothing of pictures: what the bytes are
is judged by their content, later. The body is parsed as it streams in, so nothing beyond the
limit is kept, whatever `Content-Length` claims.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect

from doggo.core.errors import BusyError
from doggo.serve.bodies import FormBody, WholeBody, photo_body
from doggo.serve.problems import ProblemError
from doggo.vision.photo import MAX_BYTES

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_JSON_OVERHEAD_BYTES = 64 * 1024  # what is around the photos


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadLimits:
    """How much and how slowly a client may send.

    Attributes:
        photo_bytes: most bytes of one photo.
        idle_s: longest silence between two pieces of a body.
        total_s: longest time for a whole body.
        in_flight_bytes: most bytes of all bodies that are arriving at once.
        discard_bytes: most bytes read and thrown away so that the client, still sending, gets
            to read why it was refused.
    """

    photo_bytes: int = MAX_BYTES
    idle_s: float = 10.0
    total_s: float = 120.0
    in_flight_bytes: int = 256 * 2**20
    discard_bytes: int = 64 * 2**20

    @property
    def request_bytes(self) -> int:
        """Most bytes of a body of several photos: of one at its limit, in base64."""
        return -(-self.photo_bytes // 3) * 4 + _JSON_OVERHEAD_BYTES


class Uploads:
    """Reads photos out of request bodies; counts what is arriving on one event loop."""

    def __init__(self, limits: UploadLimits | None = None) -> None:
        self.limits = limits or UploadLimits()
        self._in_flight_bytes = 0

    async def read(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        """Return the photo's bytes.

        Args:
            headers: of the request, looked up without regard to case.
            receive: the ASGI channel; consumed.

        Raises:
            ProblemError: 408 too slow, 413 too big, 415 another kind of body, 422 no photo in it.
            BusyError: too many bytes are arriving at once.
            ClientDisconnect: the client went away.
        """
        collector = photo_body(headers.get("content-type", ""), self.limits.photo_bytes)
        most = self.limits.photo_bytes + collector.overhead_bytes
        refusal = too_large("a photo", self.limits.photo_bytes)
        await self._fill(collector, most, refusal, headers, receive)
        return collector.photo()

    @asynccontextmanager
    async def hold(self, headers: Mapping[str, str], receive: Receive) -> AsyncIterator[bytes]:
        """Give a whole body, of `limits.request_bytes` at most, whatever its type.

        It counts as arriving until the block ends, so that what is made of it is bounded too.

        Raises:
            ProblemError: 408 too slow, 413 too big.
            BusyError: too many bytes are arriving at once.
            ClientDisconnect: the client went away.
        """
        body, most = WholeBody(), self.limits.request_bytes
        await self._fill(body, most, too_large("a request", most), headers, receive)
        data = body.photo()
        self._in_flight_bytes += len(data)
        try:
            yield data
        finally:
            self._in_flight_bytes -= len(data)

    async def _fill(
        self,
        collector: WholeBody | FormBody,
        most: int,
        refusal: ProblemError,
        headers: Mapping[str, str],
        receive: Receive,
    ) -> None:
        """Feed the body to `collector`, or raise `refusal` once it is over `most` bytes."""
        if headers.get("expect", "").lower() == "100-continue" and _claimed(headers) > most:
            # The client asks before it sends: refuse while the wire is still quiet.
            raise refusal
        body = _Arriving(receive)
        if await self._collect(collector, most, body):
            return
        collector.forget()
        await self._discard(body)
        raise refusal

    async def _collect(self, collector: WholeBody | FormBody, most: int, body: _Arriving) -> bool:
        """Feed the whole body to `collector`; returns False as soon as it is too much."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.total_s
        received = 0
        try:
            async with asyncio.timeout(self.limits.idle_s) as patience:
                while body.goes_on:
                    piece = await body.piece()
                    received += len(piece)
                    self._in_flight_bytes += len(piece)
                    if self._in_flight_bytes > self.limits.in_flight_bytes:
                        raise BusyError(retry_after_s=5)
                    if received > most or not collector.feed(piece):
                        return False
                    patience.reschedule(min(loop.time() + self.limits.idle_s, deadline))
        except TimeoutError as error:
            raise ProblemError(
                "too-slow",
                f"the body paused for {self.limits.idle_s:g} s or took longer than "
                f"{self.limits.total_s:g} s",
                headers={"Connection": "close"},
            ) from error
        finally:
            self._in_flight_bytes -= received
        return True

    async def _discard(self, body: _Arriving) -> None:
        left = self.limits.discard_bytes
        try:
            async with asyncio.timeout(self.limits.idle_s):
                while body.goes_on and left > 0:
                    left -= len(await body.piece())
        except TimeoutError:
            return


class _Arriving:
    """A body on its way in.

    Attributes:
        goes_on: there is more of it; asking for more than there is would wait in vain.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.goes_on = True

    async def piece(self) -> bytes:
        """Return the next piece.

        Raises:
            ClientDisconnect: the client went away.
        """
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self.goes_on = message.get("more_body", False)
        return bytes(message.get("body", b""))


def too_large(what: str, most_bytes: int) -> ProblemError:
    """Return the refusal of something over the limit; the connection is closed with it."""
    return ProblemError(
        "too-large",
        f"{what} may have {most_bytes / 2**20:.3g} MiB at most",
        headers={"Connection": "close"},
        extra={"reason": "too_many_bytes"},
    )


def _claimed(headers: Mapping[str, str]) -> int:
    claimed = headers.get("content-length", "")
    return int(claimed) if claimed.isascii() and claimed.isdigit() else 0
