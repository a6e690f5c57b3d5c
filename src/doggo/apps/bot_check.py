"""The doctor's look at the Telegram bot: does Telegram know us, where do updates go, what is stuck.

Changes nothing: a database that is not there is not made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from doggo.apps.finding import Finding, Level
from doggo.bot.client import CallError, Client, Trouble, Webhook
from doggo.bot.incoming import BotName
from doggo.settings import Settings

_PATIENCE_S = 15.0


def telegram(settings: Settings) -> Iterator[Finding]:
    """Ask Telegram who we are, if there is a token."""
    key = settings.tele_api_key.get_secret_value().strip() if settings.tele_api_key else ""
    if not key:
        yield _finding(Level.OK, "no bot: TELE_API_KEY is not set")
        return
    try:
        me, webhook = asyncio.run(_ask(key, settings.telegram_url))
    except TimeoutError:
        yield _unreachable(settings)
        return
    except CallError as error:
        if error.trouble is Trouble.TOKEN:
            mend = "copy TELE_API_KEY again from @BotFather; it looks like 123456:ABC-DEF"
            yield _finding(Level.FAIL, "Telegram does not know this token", mend)
        else:
            yield _unreachable(settings)
        return
    yield from _known(me, webhook)


def dead_letters(settings: Settings) -> Iterator[Finding]:
    """Count updates that were given up."""
    from doggo.storage import updates
    from doggo.storage.engine import open_chat_database

    given = settings.bot_database is not None
    if not given and not (settings.home / "bot.db").exists():
        yield Finding(check="inbox", level=Level.OK, detail="no update came yet")
        return
    engine = open_chat_database(settings.bot_database_url)
    try:
        with engine.begin() as connection:
            letters = updates.dead_letters(connection)
            waiting = updates.count_waiting(connection)
    finally:
        engine.dispose()
    if letters:
        detail = f"{len(letters)} updates could not be answered"
        mend = "`doggo bot dead-letters` says why"
        yield Finding(check="inbox", level=Level.WARN, detail=detail, mend=mend)
    else:
        detail = f"{waiting} updates wait, none was given up"
        yield Finding(check="inbox", level=Level.OK, detail=detail)


def _known(me: BotName, webhook: Webhook) -> Iterator[Finding]:
    where = f"updates go to {webhook.url}" if webhook.url else "updates wait to be fetched"
    yield _finding(Level.OK, f"Telegram knows @{me.username}; {where}")
    if webhook.last_error:
        detail = f"Telegram could not bring updates: {webhook.last_error}"
        mend = "start the server (`doggo serve`) and its tunnel, or poll: `doggo bot run`"
        yield _finding(Level.WARN, detail, mend)
    if not me.searchable:
        mend = "send /setinline to @BotFather, so that people can search for a breed"
        yield _finding(Level.WARN, "inline mode is off", mend)


async def _ask(key: str, url: str) -> tuple[BotName, Webhook]:
    async with asyncio.timeout(_PATIENCE_S), Client(key, url) as client:
        return await client.name(), await client.webhook()


def _unreachable(settings: Settings) -> Finding:
    return _finding(
        Level.FAIL,
        f"{settings.telegram_url} cannot be reached",
        "look at this machine's network; in some countries Telegram needs a proxy (HTTPS_PROXY)",
    )


def _finding(level: Level, detail: str, mend: str = "") -> Finding:
    return Finding(check="telegram", level=level, detail=detail, mend=mend)
