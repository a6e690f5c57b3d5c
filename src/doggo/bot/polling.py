"""Updates fetched from Telegram: a token is enough, no address of ours is needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from doggo.bot.client import CallError, Client, Trouble
from doggo.bot.inbox import Inbox
from doggo.bot.reading import number
from doggo.bot.sending import pause_s_after
from doggo.core.errors import StorageError, UsageError

logger = logging.getLogger(__name__)

WAIT_S = 25
CONFLICTS = 3
"""Refusals in a row before it is said: one is left behind by a poll that just ended."""

_CONFLICT_PAUSE_S = 2.0


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
    conflicts = failures = 0
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
            conflicts = conflicts + 1 if error.trouble is Trouble.CONFLICT else 0
            if conflicts >= CONFLICTS:
                raise UsageError(_conflict(error)) from error
            failures += 1
            logger.warning("polling.failed trouble=%s", error.trouble)
            pause_s = max(pause_s_after(failures - 1), error.retry_after_s)
            await asyncio.sleep(conflict_pause_s if conflicts else pause_s)
        else:
            conflicts = failures = 0
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
