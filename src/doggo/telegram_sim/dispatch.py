"""Who delivers while the webhook comes, changes and goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from doggo.telegram_sim.delivery import Courier, GoneError
from doggo.telegram_sim.objects import JsonObject
from doggo.telegram_sim.records import Webhook
from doggo.telegram_sim.refusal import ApiError
from doggo.telegram_sim.telegram import Telegram

logger = logging.getLogger(__name__)


async def dispatch(telegram: Telegram) -> None:
    """Deliver updates to whatever webhook is set, until cancelled."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()

    def heard() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(changed.set)

    telegram.hooks.listeners.append(heard)
    try:
        while True:
            changed.clear()
            await _serve(telegram, telegram.hooks.current, changed)
    finally:
        telegram.hooks.listeners.remove(heard)


async def _serve(telegram: Telegram, webhook: Webhook | None, changed: asyncio.Event) -> None:
    """Deliver to one webhook until there is another."""
    if webhook is None:
        await changed.wait()
        return
    courier = asyncio.create_task(_courier(telegram, webhook).run())
    change = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait({courier, change}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        change.cancel()
        courier.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await _outcome(courier, telegram)


async def _outcome(courier: asyncio.Task[None], telegram: Telegram) -> None:
    try:
        await courier
    except* GoneError:
        logger.warning("webhook_closed: it answered 410 for 23 hours")
        telegram.hooks.change(None)


def _courier(telegram: Telegram, webhook: Webhook) -> Courier:
    def carry_out(method: str, arguments: JsonObject) -> None:
        with contextlib.suppress(ApiError):
            telegram.carry_out(method, arguments)

    return Courier(
        webhook,
        telegram.backlog,
        clock=telegram.clock,
        retry_factor=telegram.retry_factor,
        record=telegram.deliveries.append,
        carry_out=carry_out,
    )
