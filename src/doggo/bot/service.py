"""The bot at work: the inbox is answered, the outbox sent, what is old forgotten.

    take ─▶ inbox ─▶ worker ─▶ outbox ─▶ sender ─▶ Telegram

Owns which parts run in which process. Any number of processes may take updates in; the one with
the claim works through them. Knows nothing of HTTP servers or settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from doggo.bot import commands
from doggo.bot.client import CallError, Client, Trouble
from doggo.bot.inbox import Inbox
from doggo.bot.incoming import BotName
from doggo.bot.limits import Limits
from doggo.bot.looking import Looking
from doggo.bot.polling import poll
from doggo.bot.scene import Knowledge
from doggo.bot.sender import IN_FLIGHT, Sender
from doggo.bot.sending import pause_s_after
from doggo.bot.turns import Turns
from doggo.bot.worker import Worker
from doggo.core.chat import Consent, Incoming
from doggo.core.errors import StorageError, UsageError
from doggo.core.records import Prediction
from doggo.storage import people, replies, updates
from doggo.storage.claim import HOLD_S, Claim
from doggo.storage.journal import Journal
from doggo.storage.people import Pseudonyms

logger = logging.getLogger(__name__)

T = TypeVar("T")

_TIDY_S = 10.0
_CLAIM_S = 1.0
_REWRITING_SHARE = 0.001  # of the time that the database may be busy with its own file


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a bot is made of.

    Attributes:
        predict: answers a photo's bytes; raises PhotoError, NoModelError or BusyError.
        knowledge: what the model in service knows; the bot's own name is filled in here.
        count: told the kind of each new update.
        tidy_s: between two times that what is old is forgotten.
        keep: given the photos of people who agreed that theirs are kept, and no others; None:
            nobody keeps any. A photo may come again after a crash, with another prediction.
    """

    client: Client
    journal: Journal
    names: Pseudonyms
    predict: Callable[[bytes], Awaitable[Prediction]]
    knowledge: Callable[[], Knowledge]
    limits: Limits = field(default_factory=Limits)
    in_flight: int = IN_FLIGHT
    count: Callable[[str], None] = lambda _: None
    tidy_s: float = _TIDY_S
    keep: Callable[[AgreedPhoto], Awaitable[None]] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AgreedPhoto:
    """A photo whose sender agreed that it is kept.

    Attributes:
        person: the sender's pseudonym, to erase it by.
        data: the file as it was sent.
    """

    person: str
    data: bytes = field(repr=False)
    prediction: Prediction


class Bot:
    """One bot in one process, on one event loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._claim = Claim(parts.journal.engine)
        self._inbox: Inbox | None = None
        self._worker: Worker | None = None
        self._sender: Sender | None = None

    @property
    def inbox(self) -> Inbox | None:
        """What takes updates in; None until Telegram has told who we are."""
        return self._inbox

    @property
    def backlog(self) -> tuple[int, int]:
        """Updates and replies in hand."""
        worker, sender = self._worker, self._sender
        return (worker.waiting if worker else 0, sender.waiting if sender else 0)

    async def serve(self) -> None:
        """Take in what a webhook brings and, while no other process does, answer it.

        Until cancelled; a database that goes away is waited for.

        Raises:
            UsageError: Telegram refuses the token.
        """
        me = await self._introduce()
        while True:
            try:
                await self._claimed()
                await self._work_while_it_goes(me)
            finally:
                self._claim.release()

    async def poll(self, on_ready: Callable[[BotName], None]) -> None:
        """Fetch updates and answer them, until cancelled.

        Raises:
            UsageError: Telegram refuses the token; another process works with this database, or
                another program polls.
        """
        if not await asyncio.to_thread(self._claim.take):
            raise UsageError(
                f"{self._claim.holder()} is the bot already, with the same database: stop it, "
                "or set another DOGGO_HOME"
            )
        try:
            me = await self._introduce()
            await _persistent(self._parts.client.drop_webhook)
            on_ready(me)
            while True:
                await self._work_while_it_goes(me, polling=True)
                await self._claimed()
        finally:
            self._claim.release()

    async def _introduce(self) -> BotName:
        me = await _persistent(self._parts.client.name)
        self._inbox = Inbox(self._parts.journal, me, on_new=self._notify, count=self._parts.count)
        return me

    def _notify(self, first: int) -> None:
        if self._worker is not None:
            self._worker.notify(first)

    async def _claimed(self) -> None:
        """Wait until this process is the one that answers."""
        told = ""
        while trouble := await self._not_claimed():
            if trouble != told:
                logger.info("bot.standby: %s", trouble)
            told = trouble
            await asyncio.sleep(_CLAIM_S)
        await asyncio.sleep(self._claim.settle_s)

    async def _not_claimed(self) -> str:
        """Try to take the claim; return why not, or nothing if it is taken."""
        try:
            return "" if await asyncio.to_thread(self._claim.take) else "another process answers"
        except StorageError as error:
            return str(error)

    async def _work_while_it_goes(self, me: BotName, *, polling: bool = False) -> None:
        try:
            await self._work(me, polling=polling)
        except StorageError as error:
            logger.error("bot.interrupted %s", error)

    async def _hold(self) -> None:
        """Watch the claim: who lost it must stop before the next holder begins."""
        while self._claim.settle_s:
            await asyncio.sleep(HOLD_S)
            with contextlib.suppress(TimeoutError):
                if await asyncio.wait_for(asyncio.to_thread(self._claim.holds), 2 * HOLD_S):
                    continue
            raise StorageError("the claim on the bot's database was lost")

    async def _work(self, me: BotName, *, polling: bool = False) -> None:
        parts = self._parts
        turns = Turns(
            parts.names,
            lambda: replace(parts.knowledge(), username=me.username, searchable=me.searchable),
        )
        sender = Sender(
            parts.journal,
            parts.client.call,
            blocked=turns.blocked,
            limits=parts.limits,
            in_flight=parts.in_flight,
        )
        seen = None if parts.keep is None else partial(_keep_agreed, parts, parts.keep)
        looking = Looking(parts.client, parts.predict, seen=seen)
        assert self._inbox is not None
        worker = Worker(
            parts.journal,
            look=looking.look,
            finish=turns.finish,
            deliver=sender.add,
            quiet=self._inbox.quiet,
        )
        try:
            await sender.load()
            self._sender, self._worker = sender, worker
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hold())
                group.create_task(worker.run())
                group.create_task(sender.run())
                group.create_task(_tidy(parts.journal, sender, parts.tidy_s))
                group.create_task(_show_commands(parts.client))
                if polling:
                    group.create_task(poll(parts.client, self._inbox))
        except ExceptionGroup as errors:
            raise _cause(errors) from errors
        finally:
            self._worker = self._sender = None
            self._claim.release()


def _cause(errors: ExceptionGroup[Exception]) -> Exception:
    """Return what ended the work; of several what the owner must mend."""
    for kind in (UsageError, Exception):
        for error in errors.exceptions:
            if isinstance(error, kind):
                return error
    return errors


async def _keep_agreed(
    parts: Parts,
    keep: Callable[[AgreedPhoto], Awaitable[None]],
    incoming: Incoming,
    data: bytes,
    prediction: Prediction,
) -> None:
    person = parts.names.of(incoming.user_id)
    known = await parts.journal.write(lambda c: people.find_person(c, person))
    if known.consent is Consent.YES:
        await keep(AgreedPhoto(person=person, data=data, prediction=prediction))


async def _persistent(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask Telegram until it answers."""
    failures = 0
    while True:
        try:
            return await ask()
        except CallError as error:
            if error.trouble is Trouble.TOKEN:
                raise UsageError(
                    "Telegram refuses TELE_API_KEY: copy the token again from @BotFather"
                ) from error
            logger.warning("bot.cannot_reach_telegram trouble=%s", error.trouble)
            await asyncio.sleep(max(pause_s_after(failures), error.retry_after_s))
            failures += 1


async def _show_commands(client: Client) -> None:
    """Fill the menu of commands in every language; without it the bot works as well."""
    with contextlib.suppress(CallError):
        for menu in commands.menus():
            await client.set_commands(menu)


async def _tidy(journal: Journal, sender: Sender, every_s: float) -> None:
    """Forget what is old, and let no deleted byte stay in the files."""
    rewrite_at = 0.0
    while True:
        with contextlib.suppress(Exception):
            await journal.write(_forget_old)
        with contextlib.suppress(Exception):  # also on a full disk: the log may be what fills it
            began = time.monotonic()
            if began < rewrite_at:
                await asyncio.wrap_future(journal.tidy())
            else:
                await asyncio.wrap_future(journal.rewrite())
                took_s = time.monotonic() - began
                rewrite_at = began + took_s / _REWRITING_SHARE
        sender.tidy()
        await asyncio.sleep(every_s)


def _forget_old(connection: Connection) -> None:
    now = time.time()
    replies.forget_old(connection, now)
    updates.forget_old(connection, now)
