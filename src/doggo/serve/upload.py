"""A request's body becomes the bytes of one photo, or is held whole, within limits.

Owns size, time and form parsing. Knows nothing of pictures: what the bytes are is judged by
their content, later. The body is parsed as it streams in, so nothing beyond the limit is kept,
whatever `Content-Length` claims.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from doggo.core.errors import BusyError
from doggo.serve.problems import ProblemError
from doggo.vision.photo import MAX_BYTES

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_FORM_OVERHEAD_BYTES = 64 * 1024  # boundaries, part headers, small other fields
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
        collector = _collector(headers.get("content-type", ""), self.limits.photo_bytes)
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
        body, most = _Body(), self.limits.request_bytes
        await self._fill(body, most, too_large("a request", most), headers, receive)
        data = body.photo()
        self._in_flight_bytes += len(data)
        try:
            yield data
        finally:
            self._in_flight_bytes -= len(data)

    async def _fill(
        self,
        collector: _Body | _Form,
        most: int,
        refusal: ProblemError,
        headers: Mapping[str, str],
        receive: Receive,
    ) -> None:
        """Feed the body to `collector`, or raise `refusal` once it is over `most` bytes."""
        if headers.get("expect", "").lower() == "100-continue" and _claimed(headers) > most:
            # The client asks before it sends: refuse while the wire is still quiet.
            raise refusal
        if await self._collect(collector, most, receive):
            return
        collector.forget()
        await self._discard(receive)
        raise refusal

    async def _collect(self, collector: _Body | _Form, most: int, receive: Receive) -> bool:
        """Feed the whole body to `collector`; returns False as soon as it is too much."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.total_s
        received = 0
        try:
            async with asyncio.timeout(self.limits.idle_s) as patience:
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    piece = message.get("body", b"")
                    more = message.get("more_body", False)
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

    async def _discard(self, receive: Receive) -> None:
        left = self.limits.discard_bytes
        try:
            async with asyncio.timeout(self.limits.idle_s):
                more = True
                while more and left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            return


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


def _collector(content_type: str, photo_bytes: int) -> _Body | _Form:
    kind, options = parse_options_header(content_type)
    if kind.startswith(b"multipart/"):
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise ProblemError("no-photo", "the multipart content type names no boundary")
        return _Form(boundary, photo_bytes)
    if not kind or kind.startswith(b"image/") or kind == b"application/octet-stream":
        return _Body()
    raise ProblemError(
        "wrong-type",
        "send a multipart form with the field 'photo', or the image itself as image/* or "
        "application/octet-stream",
    )


class _Body:
    """The image is the body itself."""

    overhead_bytes = 0

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> bool:
        self._pieces.append(piece)
        return True

    def forget(self) -> None:
        self._pieces.clear()

    def photo(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


class _Form:
    """The image is the field `photo` of a multipart form; other fields are skipped unread."""

    overhead_bytes = _FORM_OVERHEAD_BYTES

    def __init__(self, boundary: bytes, photo_bytes: int) -> None:
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_part_data": self._data,
                    "on_part_end": self._end,
                },
            )
        except FormParserError as error:
            raise ProblemError(
                "no-photo", "the multipart boundary is longer than allowed"
            ) from error
        self._most = photo_bytes
        self._size = 0
        self._inside = self._found = self._complete = False
        self._name = self._value = b""
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> bool:
        """Parse a piece; returns False once the photo is over its limit."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise ProblemError("no-photo", "the multipart form is malformed") from error
        return self._size <= self._most

    def forget(self) -> None:
        self._pieces.clear()

    def photo(self) -> bytes:
        if not self._found:
            raise ProblemError("no-photo", "the form has no field called 'photo'")
        if not self._complete:
            raise ProblemError("no-photo", "the form ends in the middle of the field 'photo'")
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def _begin(self) -> None:
        self._inside = False
        self._name = self._value = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            if options.get(b"name") == b"photo" and not self._found:
                self._inside = self._found = True
        self._name = self._value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._size += end - start
            if self._size <= self._most:
                self._pieces.append(data[start:end])

    def _end(self) -> None:
        if self._inside:
            self._complete = True
        self._inside = False
