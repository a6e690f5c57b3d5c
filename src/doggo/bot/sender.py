"""The outbox empties itself into Telegram: in order in each chat, within the limits, until taken.

Owns who is sent to next. A reply counts as sent once that is on the disk, and its chat and its
place among the sends in flight stay taken until then: a process that dies leaves at most one
reply a chat, and no more in all than were in flight, that will be sent a second time.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from doggo.bot.client import CallError
from doggo.bot.limits import Limits, Pace
from doggo.bot.sending import Decision, Fate, decide, stumbled
from doggo.core.chat import JsonValue, Method
from doggo.core.errors import StorageError
from doggo.storage import replies
from doggo.storage.journal import Journal
from doggo.storage.replies import ReplyRow

logger = logging.getLogger(__name__)

T = TypeVar("T")
Call = Callable[[Method, dict[str, JsonValue]], Awaitable[None]]

IN_FLIGHT = 4
_LOAD = 1000
_TRY_DISK_AGAIN_S = 1.0
_LAST_SENDS_S = 20.0  # as long as a call may take (client.py)

# Answers to a tap or a query are no messages: they are not counted, and soon worth nothing.
_PASSING = frozenset({Method.ANSWER_TAP.value, Method.ANSWER_SEARCH.value})


@dataclass
class _Lane:
    """The replies to one chat that must keep their order."""

    chat_id: int
    pace: Pace | None
    rows: deque[ReplyRow] = field(default_factory=deque)
    not_before: float = 0.0
    queued: bool = False

    def free_at(self) -> float:
        if self.pace is None:
            return -1.0  # before all that is counted
        return max(self.not_before, self.rows[0].not_before, self.pace.free_at())

    def done_with(self, row: ReplyRow) -> None:
        """Take a reply out, unless the chat was dropped meanwhile."""
        if self.rows and self.rows[0].reply_id == row.reply_id:
            self.rows.popleft()


class Sender:
    """Sends what is in the outbox. Lives on one event loop; the only one for its database.

    Args:
        call: makes one call of the Bot API.
        blocked: told a chat that does not want us, in the transaction that drops its replies.
        in_flight: sends under way at once: the bound on duplicates after a crash.
    """

    def __init__(
        self,
        journal: Journal,
        call: Call,
        *,
        blocked: Callable[[Connection, int], None],
        limits: Limits | None = None,
        in_flight: int = IN_FLIGHT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal, self._call, self._blocked = journal, call, blocked
        self._limits, self._clock = limits or Limits(), clock
        self._overall = Pace(self._limits.overall)
        self._slots = asyncio.Semaphore(in_flight)
        self._lanes: dict[tuple[int, bool], _Lane] = {}
        self._ready: list[tuple[float, int, _Lane]] = []
        self._count = itertools.count()
        self._changed = asyncio.Event()
        self._paused_until = 0.0
        self._sending: set[asyncio.Task[None]] = set()
        self.sent = 0

    @property
    def waiting(self) -> int:
        """Replies that are not sent yet."""
        return sum(len(lane.rows) for lane in self._lanes.values())

    async def load(self) -> None:
        """Take up what an earlier process left in the outbox; call it once, before anything."""
        above = 0
        while True:
            query = partial(replies.waiting, above=above, limit=_LOAD)
            rows = await self._journal.write(query)
            if not rows:
                return
            self.add(rows)
            above = rows[-1].reply_id

    def add(self, rows: Sequence[ReplyRow]) -> None:
        """Send these as well; they are in the outbox already."""
        for row in rows:
            lane = self._lane(row)
            lane.rows.append(row)
            self._queue(lane)

    async def run(self) -> None:
        """Send until cancelled; what is in flight then is finished first, if it can be."""
        try:
            while True:
                await self._slots.acquire()
                lane = await self._next()
                task = asyncio.create_task(self._send(lane))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
        finally:
            if self._sending:
                _, left = await asyncio.wait(self._sending, timeout=_LAST_SENDS_S)
                for task in left:
                    task.cancel()

    def _lane(self, row: ReplyRow) -> _Lane:
        passing = row.method in _PASSING
        key = (row.chat_id, passing)
        if key not in self._lanes:
            limit = self._limits.group if row.is_group else self._limits.private
            self._lanes[key] = _Lane(row.chat_id, None if passing else Pace(limit))
        return self._lanes[key]

    def _queue(self, lane: _Lane) -> None:
        if lane.queued or not lane.rows:
            return
        lane.queued = True
        heapq.heappush(self._ready, (lane.free_at(), next(self._count), lane))
        self._changed.set()

    async def _next(self) -> _Lane:
        """Wait for the lane that may send first."""
        while True:
            self._changed.clear()
            now = self._clock()
            free_at = self._first_free_at()
            if free_at <= now:
                lane = heapq.heappop(self._ready)[2]
                if not lane.rows:  # its chat was dropped
                    lane.queued = False
                    continue
                if lane.pace is not None:
                    lane.pace.take(now)
                    self._overall.take(now)
                return lane
            wait_s = None if free_at == float("inf") else free_at - now
            try:
                await asyncio.wait_for(self._changed.wait(), wait_s)
            except TimeoutError:
                continue

    def _first_free_at(self) -> float:
        if not self._ready:
            return float("inf")
        free_at, _, lane = self._ready[0]
        overall = self._overall.free_at() if lane.pace is not None else 0.0
        return max(free_at, self._paused_until, overall)

    async def _send(self, lane: _Lane) -> None:
        row = lane.rows[0]
        try:
            if self._clock() < row.expires_at:
                await self._try(lane, row)
            else:
                await self._keep(lambda c: replies.sent(c, row, self._clock()))
                lane.done_with(row)
        finally:
            self._slots.release()
            lane.queued = False
            self._queue(lane)

    async def _try(self, lane: _Lane, row: ReplyRow) -> None:
        try:
            await self._call(Method(row.method), row.arguments)
        except CallError as error:
            decision = decide(
                error, method=row.method, is_group=row.is_group, attempts=row.attempts
            )
            logger.info("sender.refused trouble=%s fate=%s", error.trouble, decision.fate)
            await self._settle(lane, row, decision)
        except Exception as error:  # noqa: BLE001 - a reply that makes no call is given up, not the bot
            # Not the message: it may hold words of a person.
            logger.error("sender.failed method=%s error=%s", row.method, type(error).__name__)
            await self._settle(lane, row, stumbled(row.attempts, type(error).__name__))
        else:
            await self._keep(lambda c: replies.sent(c, row, self._clock()))
            lane.done_with(row)
            self.sent += 1

    async def _settle(self, lane: _Lane, row: ReplyRow, decision: Decision) -> None:
        now = self._clock()
        match decision.fate:
            case Fate.SENT:
                await self._keep(lambda c: replies.sent(c, row, now))
                lane.done_with(row)
            case Fate.LATER:
                until = now + decision.pause_s
                if decision.everything:  # from now on, not from when the disk has it
                    self._paused_until = max(self._paused_until, until)
                await self._keep(lambda c: replies.postpone(c, row, until=until))
                if lane.rows:
                    lane.rows[0] = _again(row, until)
            case Fate.DROP_CHAT:
                await self._keep(lambda c: self._drop(c, row, now))
                for lane_of_chat in self._lanes_of(row.chat_id):
                    lane_of_chat.rows.clear()
            case Fate.MOVE:
                await self._move(row.chat_id, decision.new_chat_id)
            case Fate.GIVE_UP:
                logger.warning("sender.gave_up update_id=%d %s", row.update_id, row.method)
                why = decision.why
                await self._keep(lambda c: replies.given_up(c, row, error=why, now=now))
                lane.done_with(row)

    def _drop(self, connection: Connection, row: ReplyRow, now: float) -> None:
        replies.drop_chat(connection, row.chat_id, now)
        self._blocked(connection, row.chat_id)

    def _lanes_of(self, chat_id: int) -> list[_Lane]:
        found = (self._lanes.get((chat_id, passing)) for passing in (False, True))
        return [lane for lane in found if lane is not None]

    async def _move(self, old: int, new: int) -> None:
        def move(connection: Connection) -> list[ReplyRow]:
            replies.move_chat(connection, old, new)
            return replies.to_chat(connection, new)

        moved = await self._keep(move)
        for lane in self._lanes_of(old):
            lane.rows.clear()
        known = {row.reply_id for lane in self._lanes_of(new) for row in lane.rows}
        self.add([row for row in moved if row.reply_id not in known])

    async def _keep(self, do: Callable[[Connection], T]) -> T:
        """Write what happened, however long the disk refuses: else it would be sent again."""
        while True:
            try:
                return await self._journal.write(do)
            except StorageError as error:
                logger.error("sender.cannot_keep %s", error)
            except Exception as error:  # noqa: BLE001 - a chat that stands still is better than spam
                logger.error("sender.cannot_keep error=%s", type(error).__name__)
            await asyncio.sleep(_TRY_DISK_AGAIN_S)

    def tidy(self) -> None:
        """Forget chats that nothing is known of any more; call it now and then."""
        now = self._clock()
        self._lanes = {
            key: lane
            for key, lane in self._lanes.items()
            if lane.rows or lane.queued or not (lane.pace is None or lane.pace.is_idle(now))
        }


def _again(row: ReplyRow, until: float) -> ReplyRow:
    return ReplyRow(
        reply_id=row.reply_id,
        update_id=row.update_id,
        chat_id=row.chat_id,
        is_group=row.is_group,
        method=row.method,
        arguments=row.arguments,
        expires_at=row.expires_at,
        attempts=row.attempts + 1,
        not_before=until,
    )
