"""One HTTP connection to a webhook, kept open between updates.

Owns request, answer and hang-ups. Written on httptools alone: the simulator shares its cores with
the bot that is measured.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult

import httptools

ANSWER_WITHIN_S = 60.0
_MOST_BYTES = 1 << 20
_CHUNK = 1 << 16


class HangUpError(ConnectionError):
    """The webhook gave no whole answer."""


@dataclass(slots=True)
class Answer:
    """What the webhook said."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False


class _Reader:
    """Callbacks of the parser."""

    def __init__(self) -> None:
        self.answer = Answer()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        if len(self.answer.body) < _MOST_BYTES:
            self.answer.body += body

    def on_message_complete(self) -> None:
        self.answer.complete = True


class Connection:
    """Posts updates, one at a time."""

    def __init__(self, url: SplitResult) -> None:
        secure = url.scheme == "https"
        self._host = url.hostname or ""
        self._port = url.port or (443 if secure else 80)
        self._tls = ssl.create_default_context() if secure else None
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        authority = url.netloc.rpartition("@")[2]
        self._head = (
            f"POST {target} HTTP/1.1\r\nHost: {authority}\r\n"
            "Content-Type: application/json\r\nConnection: keep-alive\r\n"
        )
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes, secret: str) -> Answer:
        """Send an update and return the answer.

        Raises:
            HangUpError: it could not be reached, hung up, took over a minute or spoke no HTTP.
        """
        token = f"X-Telegram-Bot-Api-Secret-Token: {secret}\r\n" if secret else ""
        head = f"{self._head}{token}Content-Length: {len(body)}\r\n\r\n".encode()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                reader, writer = await self._open()
                writer.write(head + body)
                answer, keep = await _read(reader)
        except (OSError, TimeoutError, httptools.HttpParserError, HangUpError) as error:
            self.close()
            raise HangUpError(str(error) or type(error).__name__) from error
        except asyncio.CancelledError:
            self.close()
            raise
        if not keep:
            self.close()
        return answer

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and not self._streams[0].at_eof():
            return self._streams
        self.close()
        self._streams = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        return self._streams


async def _read(reader: asyncio.StreamReader) -> tuple[Answer, bool]:
    callbacks = _Reader()
    parser = httptools.HttpResponseParser(callbacks)
    while not callbacks.answer.complete:
        chunk = await reader.read(_CHUNK)
        if not chunk:
            raise HangUpError("Webhook connection closed")
        parser.feed_data(chunk)
    callbacks.answer.status = parser.get_status_code()
    return callbacks.answer, parser.should_keep_alive()
