"""getUpdates: long polling, one poller at a time.

Owns the waiting and both conflicts. Not imitated: the real server slows a bot down that polls
again at once with the same offset, and delays repeated conflicts by three seconds.
"""

from __future__ import annotations

import asyncio

from doggo.telegram_sim.arguments import GetUpdates
from doggo.telegram_sim.backlog import Backlog, Pending, QueueKey
from doggo.telegram_sim.hooks import Hooks
from doggo.telegram_sim.refusal import ApiError

LONGEST_POLL_S = 50

_WEBHOOK_ACTIVE = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete "
    "the webhook first"
)
_OTHER_POLL = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is "
    "running"
)
_RESTART = "Internal Server Error: restart"
_BY_WEBHOOK = "Conflict: terminated by setWebhook request"


class Polling:
    """The one request that may wait for updates."""

    def __init__(self, backlog: Backlog, hooks: Hooks) -> None:
        self._backlog = backlog
        self._hooks = hooks
        self._waiting: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        backlog.listeners.append(self._wake)
        hooks.listeners.append(self._hook_changed)

    async def updates(self, wanted: GetUpdates) -> list[Pending]:
        """Return the next updates, at once if there are any, else as soon as there is one.

        Raises:
            ApiError: 409 while there is a webhook, and once another request begins to wait.
        """
        if self._hooks.current is not None:
            raise ApiError(409, _WEBHOOK_ACTIVE)
        self._backlog.allow(wanted.allowed_updates)
        self._terminate(_OTHER_POLL)
        limit = wanted.limit if 1 <= wanted.limit <= 100 else 100
        timeout_s = min(max(wanted.timeout, 0), LONGEST_POLL_S)
        self._loop = asyncio.get_running_loop()
        mine = self._waiting = self._loop.create_future()
        try:
            batch = self._backlog.take(wanted.offset, limit)
            if batch or not timeout_s:
                return batch
            await asyncio.wait_for(mine, timeout_s)
        except TimeoutError:
            return []
        finally:
            if self._waiting is mine:
                self._waiting = None
        return self._backlog.take(wanted.offset, limit)

    def end(self) -> None:
        """Terminate the waiting request from any thread: the server ends."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._terminate, _RESTART, 500)

    def _hook_changed(self) -> None:
        if self._hooks.current is not None:
            self._terminate(_BY_WEBHOOK)

    def _terminate(self, words: str, status: int = 409) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ApiError(status, words))
        self._waiting = None

    def _wake(self, _: QueueKey) -> None:
        waiting, loop = self._waiting, self._loop
        if waiting is None or loop is None or loop.is_closed():
            return
        loop.call_soon_threadsafe(lambda: None if waiting.done() else waiting.set_result(None))
