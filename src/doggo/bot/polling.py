"""Updates fetched from Telegram: a token is enough, no address of ours is needed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from doggo.bot.client import CallError, Client, Trouble
from doggo.bot.inbox import Inbox
from doggo.bot.reading import number
from doggo.bot.sending import pause_s_after
from doggo.core.errors import StorageError, UsageError

logger = logging.getLogger(__name__)

WAIT_S = 25
CONFLICTS = 3
"""Refusals before a newcomer gives way: one is left behind by a poll that just ended."""

NEWCOMER_S = 3.0
"""Who is refused for the first time so soon after its start came second; it gives way, and who
polled before goes on."""

_CONFLICT_PAUSE_S = 1.0
_REMEMBERED_S = 60.0  # both get updates in between if many come: refusals in a row there are none


class Rivals:
    """Decides when another program that polls is not going away. Knows no clock.

    Args:
        began_at: when polling began, in seconds of the caller's clock.
    """

    def __init__(self, began_at: float) -> None:
        self._began_at = began_at
        self._refused_at: list[float] = []

    def refused(self, now: float) -> bool:
        """Count a refusal; returns whether to give way."""
        self._refused_at = [at for at in self._refused_at if at > now - _REMEMBERED_S]
        self._refused_at.append(now)
        newcomer = self._refused_at[0] - self._began_at < NEWCOMER_S
        return len(self._refused_at) >= (CONFLICTS if newcomer else 2 * CONFLICTS)


async def poll(
    client: Client,
    inbox: Inbox,
    *,
    wait_s: int = WAIT_S,
    conflict_pause_s: float = _CONFLICT_PAUSE_S,
) -> None:
    """Fetch and store updates until cancelled.

    Telegram forgets an update once the next call asks for later ones; that is only made when the
    update is stored.

    Raises:
        UsageError: another program polls for the same bot, or the token is not valid any more.
    """
    offset: int | None = None
    failures, rivals = 0, Rivals(time.monotonic())
    while True:
        try:
            found = await client.updates(offset, wait_s)
            await inbox.take(found)
        except StorageError as error:
            logger.error("polling.cannot_store %s", error)
            await asyncio.sleep(1.0)
        except CallError as error:
            if error.trouble is Trouble.TOKEN:
                raise UsageError(
                    "Telegram refuses TELE_API_KEY: ask @BotFather for a new token"
                ) from error
            if error.trouble is Trouble.CONFLICT:
                logger.info("polling.conflict")
                if rivals.refused(time.monotonic()):
                    raise UsageError(_conflict(error)) from error
                await asyncio.sleep(conflict_pause_s)
            else:
                logger.warning("polling.failed trouble=%s", error.trouble)
                await asyncio.sleep(max(pause_s_after(failures), error.retry_after_s))
                failures += 1
        else:
            failures = 0
            offset = _after(found, offset)


def _after(found: Sequence[object], offset: int | None) -> int | None:
    numbers = [number(one, "update_id") for one in found if isinstance(one, dict)]
    return max((n + 1 for n in numbers if n is not None), default=offset)


def _conflict(error: CallError) -> str:
    if "webhook" in error.words.lower():
        return (
            "a webhook was set for this bot meanwhile: stop the server that sets it "
            "(`doggo serve --webhook`), or receive updates there alone"
        )
    return (
        "another program fetches the updates of this bot: each update goes to only one of two. "
        "Stop the other `doggo bot run`, or use another bot's TELE_API_KEY"
    )
