"""Updates that the bot has not taken yet: one queue per chat and kind, in order.

Owns ids, order, expiry and what getUpdates confirms. Which updates share a queue is as in
tdlib/telegram-bot-api: messages by chat; taps and inline queries by user, each on their own. Used
by several threads at once.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from doggo.telegram_sim.faults import Faults, Trouble

QueueKey: TypeAlias = tuple[str, int]

FIRST_UPDATE_ID = 700_000_001
DAY_S = 86_400
LIFETIMES_S = {"inline_query": 30, "callback_query": 150, "chosen_inline_result": 600}
"""How long an update waits (Client.cpp, add_update); a day where nothing is said."""

_REMEMBERED = 50_000  # updates that can be sent once more


@dataclass(slots=True)
class Pending:
    """An update that waits.

    Attributes:
        update_id: None for one that is no valid update.
        body: its JSON as it is sent.
        failures: attempts of the webhook that failed.
        once: dropped after it was handed over by getUpdates: it cannot be confirmed.
    """

    update_id: int | None
    chat_id: int
    queue: QueueKey
    body: bytes = field(repr=False)
    expires_at: float
    failures: int = 0
    once: bool = False


class Backlog:
    """The updates that wait.

    Attributes:
        allowed: kinds that are kept; None: all.
        listeners: called with the queue after each new update, in the thread that added it.
    """

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        self.allowed: frozenset[str] | None = None
        self.listeners: list[Callable[[QueueKey], None]] = []
        self._clock = clock
        self._faults = faults
        self._lock = threading.Lock()
        self._queues: dict[QueueKey, deque[Pending]] = {}
        self._order: dict[int, Pending] = {}  # by the place in which they came in
        self._held: dict[QueueKey, Pending] = {}
        self._past: dict[int, Pending] = {}
        self._places = 0
        self._next_id = FIRST_UPDATE_ID

    def __len__(self) -> int:
        return len(self._order)

    def add(self, kind: str, content: Mapping[str, object], *, by: int, chat_id: int) -> int | None:
        """Queue an update; return its id, or None if the bot does not want its kind.

        Args:
            kind: the member of Update that `content` is.
            by: chat or user whose updates of this kind keep their order.
            chat_id: that it is about.
        """
        if self.allowed is not None and kind not in self.allowed:
            return None
        family = "message" if kind == "edited_message" else kind
        with self._lock:
            update_id = self._next_id
            self._next_id += 1
            body = json.dumps({"update_id": update_id, kind: content}).encode()
            expires_at = self._clock() + LIFETIMES_S.get(kind, DAY_S)
            pending = Pending(update_id, chat_id, (family, by), body, expires_at)
            self._remember(pending)
            self._enter(pending, self._faults.befalls(chat_id))
        self._tell(pending.queue)
        return update_id

    def allow(self, kinds: list[str] | None) -> None:
        """Choose the kinds that are kept from now on: none named is all, None changes nothing."""
        if kinds is not None:
            self.allowed = frozenset(kinds) if kinds else None

    def add_raw(self, body: bytes, *, chat_id: int = 0) -> None:
        """Queue bytes as they are: broken JSON, unknown kinds, updates without an id."""
        try:
            found = json.loads(body).get("update_id")
        except (ValueError, AttributeError):
            found = None
        update_id = found if isinstance(found, int) else None
        with self._lock:
            expires_at = self._clock() + DAY_S
            queue = ("message", chat_id)
            once = update_id is None
            self._queue(Pending(update_id, chat_id, queue, body, expires_at, once=once))
        self._tell(queue)

    def repeat(self, update_id: int, times: int) -> None:
        """Queue an update `times` times more, each in a queue of its own: all at once.

        Raises:
            KeyError: there was no such update, or it is long ago.
        """
        past = self._past[update_id]
        keys: list[QueueKey] = []
        with self._lock:
            for _ in range(times):
                keys.append((f"again-{self._places}", past.chat_id))
                again = Pending(update_id, past.chat_id, keys[-1], past.body, past.expires_at)
                self._queue(again)
        for key in keys:
            self._tell(key)

    def release(self) -> None:
        """Let go of updates that wait for a later one of their chat to overtake them."""
        with self._lock:
            held, self._held = list(self._held.values()), {}
            for pending in held:
                self._queue(pending)
        for pending in held:
            self._tell(pending.queue)

    def head(self, key: QueueKey) -> Pending | None:
        """Return the first update of a queue that has not expired."""
        with self._lock:
            queue = self._queues.get(key)
            while queue:
                if queue[0].expires_at > self._clock():
                    return queue[0]
                self._remove(queue[0])
            return None

    def drop(self, pending: Pending) -> None:
        """Forget an update that was taken."""
        with self._lock:
            self._remove(pending)

    def queues(self) -> list[QueueKey]:
        """Return the queues in which something waits."""
        with self._lock:
            return [key for key, queue in self._queues.items() if queue]

    def take(self, offset: int, limit: int) -> list[Pending]:
        """Confirm what is before `offset`, then return the next updates, oldest first.

        Args:
            offset: negative: only that many from the end are kept.
        """
        with self._lock:
            waiting = list(self._order.values())
            if offset < 0:
                confirmed = waiting[:offset]
            else:
                confirmed = [one for one in waiting if one.update_id and one.update_id < offset]
            now = self._clock()
            for pending in [*confirmed, *(one for one in waiting if one.expires_at <= now)]:
                self._remove(pending)
            batch = list(self._order.values())[:limit]
            for pending in batch:
                if pending.once:
                    self._remove(pending)
            return batch

    def clear(self) -> None:
        """Drop everything that waits."""
        with self._lock:
            self._queues.clear()
            self._order.clear()
            self._held.clear()

    def _enter(self, pending: Pending, trouble: Trouble | None) -> None:
        if trouble is Trouble.REORDER and pending.queue not in self._held:
            self._held[pending.queue] = pending
            return
        self._queue(pending)
        if trouble is Trouble.DUPLICATE:
            self._queue(
                Pending(
                    pending.update_id,
                    pending.chat_id,
                    pending.queue,
                    pending.body,
                    pending.expires_at,
                )
            )
        if (overtaken := self._held.pop(pending.queue, None)) is not None:
            self._queue(overtaken)

    def _queue(self, pending: Pending) -> None:
        self._queues.setdefault(pending.queue, deque()).append(pending)
        self._order[id(pending)] = pending
        self._places += 1

    def _remove(self, pending: Pending) -> None:
        if self._order.pop(id(pending), None) is None:
            return
        queue = self._queues[pending.queue]
        if queue[0] is pending:
            queue.popleft()
        else:
            queue.remove(pending)
        if not queue:
            del self._queues[pending.queue]

    def _remember(self, pending: Pending) -> None:
        assert pending.update_id is not None
        self._past[pending.update_id] = pending
        if len(self._past) > _REMEMBERED:
            del self._past[next(iter(self._past))]

    def _tell(self, key: QueueKey) -> None:
        for listener in tuple(self.listeners):
            listener(key)
