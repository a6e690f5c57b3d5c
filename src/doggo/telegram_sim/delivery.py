"""Updates to the webhook: in order within a queue, queues side by side, again until 2xx.

Owns order, retries and their pace (tdlib/telegram-bot-api, WebhookActor.cpp). A body of a 2xx that
calls a method is carried out; what comes of it is not told to the bot.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from doggo.telegram_sim.backlog import Backlog, Pending, QueueKey
from doggo.telegram_sim.objects import JsonObject
from doggo.telegram_sim.posting import Answer, Connection, HangUpError
from doggo.telegram_sim.records import Delivery, Webhook

LONGEST_DELAY_S = 60
"""Delays double up to a random one between this and twice this (WEBHOOK_MAX_RESEND_TIMEOUT)."""

LONGEST_RETRY_AFTER_S = 3600
GONE_FOR_S = 23 * 3600
"""After 410 for so long the webhook is closed (WEBHOOK_DROP_TIMEOUT)."""

_NOT_IN_ANSWERS = frozenset({"setwebhook", "deletewebhook", "close", "logout"})


def retry_delay_s(failures: int, retry_after_s: int, draw: Callable[[int, int], int]) -> int:
    """Return the seconds until an update that failed `failures` times is sent again.

    Args:
        retry_after_s: that the webhook asked for; 0 if it did not.
        draw: returns a random integer between both.
    """
    if retry_after_s > 0:
        return min(retry_after_s, LONGEST_RETRY_AFTER_S)
    if failures <= 1:
        return 0
    return min(draw(LONGEST_DELAY_S, 2 * LONGEST_DELAY_S), 1 << min(failures - 1, 30))


class GoneError(Exception):
    """The webhook said 410 for too long."""


class Courier:
    """Delivers to one webhook until it is cancelled."""

    def __init__(
        self,
        webhook: Webhook,
        backlog: Backlog,
        *,
        clock: Callable[[], float],
        retry_factor: float,
        record: Callable[[Delivery], None],
        carry_out: Callable[[str, JsonObject], None],
    ) -> None:
        self._webhook = webhook
        self._backlog = backlog
        self._clock = clock
        self._factor = retry_factor
        self._record = record
        self._carry_out = carry_out
        self._ready: asyncio.Queue[QueueKey] = asyncio.Queue()
        self._busy: set[QueueKey] = set()

    async def run(self) -> None:
        """Deliver what waits and what comes."""
        loop = asyncio.get_running_loop()

        def heard(key: QueueKey) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._offer, key)

        self._backlog.listeners.append(heard)
        try:
            for key in self._backlog.queues():
                self._offer(key)
            async with asyncio.TaskGroup() as group:
                for _ in range(self._webhook.max_connections):
                    group.create_task(self._work())
        finally:
            self._backlog.listeners.remove(heard)

    def _offer(self, key: QueueKey) -> None:
        if key not in self._busy:
            self._busy.add(key)
            self._ready.put_nowait(key)

    async def _work(self) -> None:
        connection = Connection(urlsplit(self._webhook.url))
        try:
            while True:
                key = await self._ready.get()
                pending = self._backlog.head(key)
                if pending is None:
                    self._busy.discard(key)
                else:
                    self._again(key, await self._deliver(connection, pending))
        finally:
            connection.close()

    def _again(self, key: QueueKey, delay_s: float) -> None:
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self._ready.put_nowait, key)
        else:
            self._ready.put_nowait(key)

    async def _deliver(self, connection: Connection, pending: Pending) -> float:
        """Try once; return the seconds until the queue goes on."""
        started = time.monotonic()
        try:
            answer = await connection.post(pending.body, self._webhook.secret)
            trouble = f"Wrong response from the webhook: {answer.status}"
        except HangUpError as error:
            answer, trouble = Answer(), str(error)
        self._record(
            Delivery(
                update_id=pending.update_id,
                chat_id=pending.chat_id,
                attempt=pending.failures + 1,
                started_at=started,
                ended_at=time.monotonic(),
                status=answer.status,
            )
        )
        if 200 <= answer.status <= 299:
            self._webhook.gone_since = 0.0
            self._backlog.drop(pending)
            self._answered(answer.body)
            return 0.0
        return self._failed(pending, answer, trouble)

    def _failed(self, pending: Pending, answer: Answer, trouble: str) -> float:
        now = self._clock()
        self._webhook.last_error_date, self._webhook.last_error = int(now), trouble
        if answer.status != 410:
            self._webhook.gone_since = 0.0
        elif not self._webhook.gone_since:
            self._webhook.gone_since = now
        elif now > self._webhook.gone_since + GONE_FOR_S:
            raise GoneError
        pending.failures += 1
        asked = answer.headers.get("retry-after", "")
        retry_after_s = int(asked) if asked.isascii() and asked.isdigit() else 0
        delay_s = retry_delay_s(pending.failures, retry_after_s, random.randint)
        if now + delay_s > pending.expires_at:
            self._backlog.drop(pending)
            return 0.0
        return delay_s * self._factor

    def _answered(self, body: bytes) -> None:
        if not body.startswith(b"{"):
            return
        try:
            called = json.loads(body)
        except ValueError:
            return
        method = called.pop("method", "")
        if isinstance(method, str) and method:
            lowered = method.lower()
            if lowered not in _NOT_IN_ANSWERS and not lowered.startswith("get"):
                self._carry_out(method, called)
