"""Calls of the Bot API through python-telegram-bot, and what their failures mean.

Owns the connection to Telegram. Knows nothing of databases or of what is said. The token is part
of every address, so nothing of an address is ever put into an error or a log.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import telegram
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)
from telegram.request import HTTPXRequest

from doggo.bot.incoming import ALLOWED_UPDATES, BotName
from doggo.core.chat import FileRef, JsonValue, Method

TELEGRAM_URL = "https://api.telegram.org"
MAX_DOWNLOAD_BYTES = 20 * 2**20  # getFile refuses more (tdlib/telegram-bot-api, Client.cpp)
WEBHOOK_CONNECTIONS = 10
"""Updates that Telegram brings at once (40 if not told): each waits for the others of its moment.
Ten over a round trip of 0.1 s are 100 a second, three times what may be answered."""

PATIENCE_S = 20.0

_CONNECT_S = 10.0
_POOL = 16  # each request looks at all that are open

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LIBRARIES = ("httpx", "httpcore", "telegram")


class Trouble(StrEnum):
    """What a failed call means."""

    AWAY = "away"  # the network or Telegram is down: try again later
    FLOOD = "flood"  # too many messages: wait as long as told
    BLOCKED = "blocked"  # the chat does not want us
    MOVED = "moved"  # the group became a supergroup
    REFUSED = "refused"  # the call is wrong and will never succeed
    TOKEN = "token"  # noqa: S105 - the token is not, or no longer, valid
    CONFLICT = "conflict"  # somebody else polls, or a webhook is set


class CallError(Exception):
    """A call of the Bot API failed.

    Attributes:
        retry_after_s: the pause that Telegram asks for (FLOOD).
        new_chat_id: where the group went (MOVED).
    """

    def __init__(
        self,
        trouble: Trouble,
        words: str,
        *,
        retry_after_s: float = 0.0,
        new_chat_id: int = 0,
    ) -> None:
        super().__init__(f"{trouble}: {words}")
        self.trouble = trouble
        self.words = words
        self.retry_after_s = retry_after_s
        self.new_chat_id = new_chat_id


class FileGoneError(Exception):
    """Telegram no longer has the file, or will not give it."""


class FileTooBigError(Exception):
    """The file is over what Telegram gives to bots."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """The webhook that Telegram knows of; `url` is empty without one."""

    url: str
    pending: int
    last_error: str


class Client:
    """One bot at Telegram. Use as an async context manager, on one event loop.

    Args:
        url: of the Bot API server; another one than Telegram's for rehearsals and for those who
            run their own.
        patience_s: how long Telegram may be silent within a call.

    The log records of the libraries below are turned off: they name the token and what is said.
    """

    def __init__(
        self, token: str, url: str = TELEGRAM_URL, *, patience_s: float = PATIENCE_S
    ) -> None:
        for name in _LIBRARIES:
            # A level holds for the loggers below too, as `telegram.Bot`; a filter does not.
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        # The library's own word for "durations as timedelta"; without it each 429 is a warning.
        os.environ.setdefault("PTB_TIMEDELTA", "1")
        base = url.rstrip("/")
        self._patience_s = patience_s
        self._requests = tuple(_request(base, size, patience_s) for size in (_POOL, 1))
        try:
            self._bot = telegram.Bot(
                token,
                base_url=f"{base}/bot",
                base_file_url=f"{base}/file/bot",
                request=self._requests[0],
                get_updates_request=self._requests[1],
            )
        except InvalidToken as error:
            raise CallError(Trouble.TOKEN, "this is no token") from error

    async def __aenter__(self) -> Self:
        for request in self._requests:
            await request.initialize()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for request in self._requests:
            await request.shutdown()

    async def name(self) -> BotName:
        """Return who we are at Telegram.

        Raises:
            CallError: it cannot be asked, or refuses the token.
        """
        user = await _told(self._bot.get_me())
        return BotName(
            bot_id=user.id,
            username=(user.username or "").lower(),
            searchable=bool(user.supports_inline_queries),
        )

    async def call(self, method: Method, arguments: dict[str, JsonValue]) -> None:
        """Make one call of the outbox.

        Raises:
            CallError: it failed; the error says what that means.
        """
        # Not its own methods: a result that its types cannot read was sent all the same, and
        # would be sent again.
        await _told(self._bot._post(method.value, dict(arguments)))

    async def typing(self, chat_id: int, thread_id: int | None) -> None:
        """Show that an answer is on its way; for five seconds or until it comes."""
        await _told(
            self._bot.send_chat_action(
                chat_id, telegram.constants.ChatAction.TYPING, message_thread_id=thread_id
            )
        )

    async def download(self, file: FileRef) -> bytes:
        """Return the bytes of a file.

        Raises:
            FileTooBigError, FileGoneError: it cannot be had.
            CallError: Telegram is away, or the file came cut off.
        """
        if (file.size_bytes or 0) > MAX_DOWNLOAD_BYTES:
            raise FileTooBigError
        try:
            found = await _told(self._bot.get_file(file.file_id))
        except CallError as error:
            if error.trouble is not Trouble.REFUSED:
                raise
            if "too big" in error.words.lower():
                raise FileTooBigError from error
            raise FileGoneError from error
        if (found.file_size or 0) > MAX_DOWNLOAD_BYTES:
            raise FileTooBigError
        if not found.file_path:
            raise FileGoneError
        try:
            data = await _told(found.download_as_bytearray())
        except CallError as error:
            # The token was good a moment ago: a 404 means the file here.
            if error.trouble in (Trouble.REFUSED, Trouble.TOKEN):
                raise FileGoneError from error
            raise
        if found.file_size is not None and len(data) < found.file_size:
            raise CallError(Trouble.AWAY, "the file came cut off")
        return bytes(data)

    async def updates(self, offset: int | None, wait_s: int) -> list[object]:
        """Return updates from `offset` on as they came, waiting for the first one.

        Raises:
            CallError: CONFLICT if somebody else polls or a webhook is set.
        """
        asked: dict[str, Any] = {
            "timeout": wait_s,
            "limit": 100,
            "allowed_updates": list(ALLOWED_UPDATES),
        }
        if offset is not None:
            asked["offset"] = offset
        # Not `get_updates`: an update that its types cannot read would stop the bot for ever.
        patience_s = wait_s + self._patience_s
        found = await _told(self._bot._post("getUpdates", asked, read_timeout=patience_s))
        return list(found) if isinstance(found, list) else []

    async def set_webhook(self, url: str, secret: str) -> None:
        """Have updates sent to `url`.

        Raises:
            CallError: Telegram refuses the address.
        """
        await _told(
            self._bot.set_webhook(
                url,
                secret_token=secret,
                max_connections=WEBHOOK_CONNECTIONS,
                allowed_updates=list(ALLOWED_UPDATES),
            )
        )

    async def drop_webhook(self) -> None:
        """Have updates kept for polling; those that wait are not lost."""
        await _told(self._bot.delete_webhook(drop_pending_updates=False))

    async def webhook(self) -> Webhook:
        """Return what Telegram knows of our webhook."""
        info = await _told(self._bot.get_webhook_info())
        return Webhook(
            url=info.url,
            pending=info.pending_update_count,
            last_error=info.last_error_message or "",
        )

    async def set_commands(self, menu: Mapping[str, JsonValue]) -> None:
        """Show a menu of commands: the arguments of setMyCommands."""
        await _told(self._bot._post("setMyCommands", dict(menu)))


def _request(base: str, connections: int, patience_s: float) -> HTTPXRequest:
    return HTTPXRequest(
        connection_pool_size=connections,
        connect_timeout=min(_CONNECT_S, patience_s),
        read_timeout=patience_s,
        write_timeout=patience_s,
        pool_timeout=patience_s,
        media_write_timeout=patience_s,
        # A proxy leads out of this machine: it is no way to one's own loopback.
        httpx_kwargs={"trust_env": urlsplit(base).hostname not in _LOOPBACK},
    )


async def _told(call: Any) -> Any:
    try:
        return await call
    except TelegramError as error:
        raise _meaning(error) from None  # the cause names the address
    except (KeyError, TypeError, AttributeError):
        # 200, and not what Telegram says: a proxy, a captive portal.
        raise CallError(Trouble.AWAY, "an answer that is not Telegram's") from None


def _meaning(error: TelegramError) -> CallError:
    words = str(error.message)
    if isinstance(error, RetryAfter):
        pause = error.retry_after
        pause_s = pause.total_seconds() if isinstance(pause, timedelta) else float(pause)
        return CallError(Trouble.FLOOD, "too many messages", retry_after_s=pause_s)
    if isinstance(error, ChatMigrated):
        return CallError(Trouble.MOVED, "moved", new_chat_id=error.new_chat_id)
    for kind, trouble in _TROUBLES:
        if isinstance(error, kind):
            return CallError(trouble, words)
    # The network's errors name addresses.
    return CallError(Trouble.AWAY, type(error).__name__)


_TROUBLES: tuple[tuple[type[TelegramError], Trouble], ...] = (
    (Forbidden, Trouble.BLOCKED),
    (InvalidToken, Trouble.TOKEN),
    (Conflict, Trouble.CONFLICT),
    (BadRequest, Trouble.REFUSED),  # a kind of NetworkError there
)
