"""Updates from the inbox become replies in the outbox: in order in each chat, chats in parallel.

    inbox ─▶ a chat's turn ─▶ look at its photo ─▶ one transaction: replies, memory, answered

Owns order, retries and giving up. What an update leads to is decided in `conversation.py`, inside
the transaction that makes it true: a process that dies before has done nothing, one that dies
after has done all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import Connection

from doggo.bot.client import CallError
from doggo.bot.inbox import from_payload
from doggo.bot.sending import pause_s_after
from doggo.core.chat import Incoming, Kind, Look
from doggo.core.errors import StorageError
from doggo.storage import updates
from doggo.storage.journal import Journal
from doggo.storage.replies import ReplyRow
from doggo.storage.updates import UpdateRow

logger = logging.getLogger(__name__)

ATTEMPTS = 4
"""Failures after which an update is given up; the pauses between them are 1, 2 and 4 s."""

STARTS = 20
"""Processes that may die while an update is in hand before it is taken to be the cause."""

CHATS_AT_ONCE = 8
ALBUM_QUIET_S = 0.7  # an album comes as one update a photo, within a moment
ALBUM_MOST = 10
_LOAD = 500
_POLL_S = 1.0  # other processes may store updates too

_PATIENCE_S = 2.0

Finish = Callable[[Connection, Sequence[Incoming], Sequence[Look]], list[ReplyRow]]


async def _at_once(within_s: float) -> None:
    """Nothing is more urgent."""


@dataclass
class _Chat:
    """What waits in one chat, by number."""

    chat_id: int
    rows: deque[UpdateRow] = field(default_factory=deque)
    not_before: float = 0.0
    active: bool = False
    newest_at: float = 0.0
    away: int = 0  # failures in a row that were not its own


class Worker:
    """Answers what is in the inbox. Lives on one event loop; the only one for its database.

    Args:
        look: fetches and looks at the photo of an update; a refusal is an outcome, CallError
            means that Telegram is away.
        finish: answers updates of one message in an open transaction and returns the replies
            that it put into the outbox. Given no looks if there was no photo.
        deliver: takes those replies once they are committed.
        quiet: waits for a moment in which nothing else is more urgent, so many seconds at most.
        chats_at_once: chats whose photos are fetched and looked at together.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        look: Callable[[Incoming], Awaitable[Look]],
        finish: Finish,
        deliver: Callable[[Sequence[ReplyRow]], None],
        quiet: Callable[[float], Awaitable[None]] = _at_once,
        chats_at_once: int = CHATS_AT_ONCE,
        album_quiet_s: float = ALBUM_QUIET_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal, self._look, self._finish, self._deliver = journal, look, finish, deliver
        self._quiet, self._clock, self._album_quiet_s = quiet, clock, album_quiet_s
        self._slots = asyncio.Semaphore(chats_at_once)
        self._chats: dict[int, _Chat] = {}
        self._known: set[int] = set()
        self._begun: set[int] = set()
        self._above: int | None = None
        self._started_at = clock()
        self._late: int | None = None
        self._all_again_at = 0.0
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Updates in memory that are not answered yet."""
        return len(self._known)

    def notify(self, first: int | None = None) -> None:
        """Say that updates were stored.

        Args:
            first: the lowest number of them. They need not come in order: a webhook brings many
                at once, and again what was refused. None: look at all.
        """
        if first is None:
            self._above = None
        else:
            self._late = first if self._late is None else min(self._late, first)
        self._news.set()

    async def run(self) -> None:
        """Answer until cancelled; chats in hand are left as they are, and taken up next time."""
        try:
            while True:
                self._news.clear()
                full = await self._load()
                if not full:
                    await self._wait_for_news()
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
            if self._begun:  # an end that was asked for is no death
                self._journal.submit(partial(updates.lay_down, update_ids=[*self._begun]))

    async def _wait_for_news(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), _POLL_S)

    def _from(self) -> int | None:
        """Return the number above which to look; late ones and other processes' are not missed."""
        late, self._late = self._late, None
        now = self._clock()
        if now >= self._all_again_at:
            self._all_again_at, self._above = now + _POLL_S, None
        if self._above is not None and late is not None:
            self._above = min(self._above, late - 1)
        return self._above

    async def _load(self) -> bool:
        """Take up what waits; returns whether there may be more."""
        if len(self._known) >= 4 * _LOAD:
            await asyncio.sleep(0.1)
            return True
        query = partial(updates.waiting, above=self._from(), limit=_LOAD)
        try:
            rows = await self._journal.write(query)
        except StorageError as error:
            logger.error("worker.cannot_load %s", error)
            await asyncio.sleep(_POLL_S)
            return False
        for row in rows:
            self._take_up(row)
        if rows:
            self._above = rows[-1].update_id
        return len(rows) == _LOAD

    def _take_up(self, row: UpdateRow) -> None:
        if row.update_id in self._known:
            return
        self._known.add(row.update_id)
        chat = self._chats.setdefault(row.chat_id, _Chat(row.chat_id))
        chat.rows.append(row)
        chat.newest_at = self._clock()
        if len(chat.rows) > 1 and row.update_id < chat.rows[-2].update_id:
            chat.rows = deque(sorted(chat.rows, key=lambda one: one.update_id))
        if not chat.active:
            chat.active = True
            task = asyncio.create_task(self._serve(chat))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, chat: _Chat) -> None:
        """Answer a chat until nothing waits in it, one message at a time."""
        while chat.rows:
            pause_s = max(chat.not_before, chat.rows[0].not_before) - self._clock()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
            await self._gather_album(chat)
            await self._answer(chat, _one_message(chat.rows))
        chat.active = False
        self._chats.pop(chat.chat_id, None)

    async def _gather_album(self, chat: _Chat) -> None:
        """Wait until the photos of an album have stopped coming."""
        while True:
            album = _album(chat.rows[0])
            together = len(_one_message(chat.rows))
            if not album or together >= ALBUM_MOST or together < len(chat.rows):
                return
            left_s = chat.newest_at + self._album_quiet_s - self._clock()
            if left_s <= 0:
                return
            await asyncio.sleep(left_s)

    async def _answer(self, chat: _Chat, rows: list[UpdateRow]) -> None:
        ids = [row.update_id for row in rows]
        try:
            if any(row.starts >= STARTS for row in rows):
                await self._park(chat, rows, "a process died each time that it was in hand")
                return
            if rows[0].received_at < self._started_at:
                # Left by a process that ended, perhaps over this very update.
                self._begin(ids)
            incoming = [from_payload(row.payload) for row in rows]
            looks = await self._look_at(incoming) if incoming[0].kind is Kind.PHOTO else []
            replies = await self._journal.write(lambda c: self._finish(c, incoming, looks))
            self._deliver(replies)
            self._done(chat, rows)
        except CallError as error:
            await self._postpone(chat, rows, str(error.trouble), failed=False)
        except StorageError as error:
            logger.error("worker.cannot_store %s", error)
            chat.not_before = self._clock() + 1.0
        except Exception as error:  # noqa: BLE001 - a poison update is parked, not the bot
            # Not the message: it may hold words of a person.
            where = f"{type(error).__name__} in {_place(error)}"
            logger.error("worker.failed update_id=%d error=%s", ids[0], where)
            await self._failed(chat, rows, where)

    async def _look_at(self, incoming: Sequence[Incoming]) -> list[Look]:
        async with self._slots:  # first come, first served: a busy chat queues anew
            await self._quiet(_PATIENCE_S)
            return list(await asyncio.gather(*(self._look(one) for one in incoming)))

    def _begin(self, ids: list[int]) -> None:
        """Leave a mark for the case that this process dies; one, however often it is tried."""
        if not self._begun.issuperset(ids):
            self._journal.submit(partial(updates.begin, update_ids=ids))
            self._begun.update(ids)

    async def _failed(self, chat: _Chat, rows: list[UpdateRow], where: str) -> None:
        if rows[0].attempts + 1 >= ATTEMPTS:
            await self._park(chat, rows, where)
        else:
            await self._postpone(chat, rows, where, failed=True)

    async def _park(self, chat: _Chat, rows: list[UpdateRow], why: str) -> None:
        ids = [row.update_id for row in rows]
        now = self._clock()
        await self._write(lambda c: updates.park(c, ids, error=why, now=now))
        logger.error("worker.parked update_id=%d why=%s", ids[0], why)
        self._done(chat, rows)

    async def _postpone(
        self, chat: _Chat, rows: list[UpdateRow], why: str, *, failed: bool
    ) -> None:
        until = self._clock() + pause_s_after(rows[0].attempts if failed else chat.away)
        chat.away += not failed
        ids = [row.update_id for row in rows]
        await self._write(lambda c: updates.postpone(c, ids, until=until, error=why, failed=failed))
        chat.not_before = until
        # By number: one with a lower one may have come meanwhile, and stand before them.
        later = {
            row.update_id: replace(row, attempts=row.attempts + failed, not_before=until)
            for row in rows
        }
        chat.rows = deque(later.get(row.update_id, row) for row in chat.rows)

    async def _write(self, do: Callable[[Connection], None]) -> None:
        try:
            await self._journal.write(do)
        except StorageError as error:
            logger.error("worker.cannot_store %s", error)

    def _done(self, chat: _Chat, rows: list[UpdateRow]) -> None:
        chat.away = 0
        for row in rows:
            self._known.discard(row.update_id)
            self._begun.discard(row.update_id)
            chat.rows.remove(row)


def _album(row: UpdateRow) -> str:
    return str(row.payload.get("album", ""))


def _one_message(rows: deque[UpdateRow]) -> list[UpdateRow]:
    """Return the first update, with the rest of its album as far as it has come."""
    album = _album(rows[0])
    if not album:
        return [rows[0]]
    together: list[UpdateRow] = []
    for row in rows:
        if _album(row) != album or len(together) == ALBUM_MOST:
            break
        together.append(row)
    return together


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
