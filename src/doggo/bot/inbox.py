"""Updates are on the disk before Telegram hears that they arrived.

Owns the way from Telegram's JSON to rows, and back from a row to an `Incoming`. Knows nothing of
what is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from pydantic import TypeAdapter
from sqlalchemy import Connection

from doggo.bot.incoming import BotName, read_update
from doggo.core.chat import Incoming, Unanswered
from doggo.storage import updates
from doggo.storage.journal import Journal
from doggo.storage.updates import Payload, UpdateRow

logger = logging.getLogger(__name__)

_FEW = 1  # updates being stored at a time, as long as nobody pushes
_QUIET_S = 0.02

_INCOMING = TypeAdapter(Incoming)


def to_payload(incoming: Incoming) -> Payload:
    """Return an update as plain data; what is at its default is left out."""
    found: Payload = _INCOMING.dump_python(incoming, mode="json", exclude_defaults=True)
    return found


def from_payload(payload: Payload) -> Incoming:
    """Return the update that was stored.

    Raises:
        ValueError: it was not written by `to_payload`.
    """
    return _INCOMING.validate_python(payload)


class Inbox:
    """Takes updates in. Used from one event loop.

    Args:
        me: who we are at Telegram.
        on_new: told the lowest number of updates that want an answer, once they are stored.
        count: told the kind of each update that was new, for the metrics.
    """

    def __init__(
        self,
        journal: Journal,
        me: BotName,
        *,
        on_new: Callable[[int], None],
        count: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal, self._me, self._clock = journal, me, clock
        self._on_new, self._count = on_new, count
        self._taking = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def take(self, raws: Sequence[object]) -> int:
        """Store updates and return how many were new; once it returns they are safe.

        Raises:
            StorageError: the database refused; nothing was stored.
        """
        now = self._clock()
        found = [read_update(raw, self._me) for raw in raws]
        numbered = [one for one in found if one is not None]
        if len(numbered) < len(found):
            logger.warning("inbox.no_number updates=%d", len(found) - len(numbered))
            self._count("no_number")
        if not numbered:
            return 0
        self._taking += 1
        if self._taking > _FEW:
            self._quiet.clear()
        try:
            new = await self._journal.write(partial(_store, found=numbered, now=now))
        finally:
            self._taking -= 1
            if self._taking <= _FEW:
                self._soon_quiet()
        for one in new:
            self._count(one.kind)
        if asking := [one.update_id for one in new if isinstance(one, Incoming)]:
            self._on_new(min(asking))
        return len(new)

    def _soon_quiet(self) -> None:
        def look() -> None:
            if self._taking <= _FEW:
                self._quiet.set()

        if not self._quiet.is_set():
            asyncio.get_running_loop().call_later(_QUIET_S, look)

    async def quiet(self, within_s: float) -> None:
        """Wait while updates pour in: Telegram waits for us to acknowledge them."""
        if self._quiet.is_set():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._quiet.wait()


def _store(
    connection: Connection, found: Sequence[Incoming | Unanswered], now: float
) -> list[Incoming | Unanswered]:
    return [one for one in found if _store_one(connection, one, now)]


def _store_one(connection: Connection, one: Incoming | Unanswered, now: float) -> int:
    if isinstance(one, Unanswered):
        return updates.note(connection, one.update_id, one.kind, now)
    row = UpdateRow(
        update_id=one.update_id,
        kind=one.kind,
        chat_id=one.chat_id,
        payload=to_payload(one),
        received_at=now,
    )
    return updates.store(connection, [row])
