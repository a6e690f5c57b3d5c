"""The whole bot against a simulated Telegram: polling in a thread, or inside a real server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from sqlalchemy import select
from tests.serving import Serving
from tests.simulating import TOKEN, Simulating, wait_for

from doggo import wiring
from doggo.apps.api import watch_models
from doggo.apps.bot import ServedBot
from doggo.bot.client import Client
from doggo.bot.scene import Knowledge
from doggo.bot.service import Bot, Parts
from doggo.serve.batcher import Batcher
from doggo.serve.metrics import Metrics
from doggo.serve.models import FixedBundle
from doggo.settings import Settings
from doggo.storage.engine import open_chat_database, updates_table
from doggo.storage.journal import Journal

SECRET = "a-secret-of-the-webhook"  # noqa: S105 - of these tests
WEBHOOK = "/telegram/webhook"
HEADER = "X-Telegram-Bot-Api-Secret-Token"


def bot_settings(home: Path, telegram_url: str, **more: object) -> Settings:
    """The settings of a bot whose Telegram is a simulator."""
    given = {"tele_api_key": TOKEN, "telegram_url": telegram_url, "webhook_secret": SECRET, **more}
    return Settings(_env_file=None, home=home, **given)  # type: ignore[call-arg,arg-type]


def served_by(settings: Settings, journal: Journal | None = None) -> ServedBot:
    """A bot for `Serving`; its webhook is set by whoever knows the server's address."""
    return ServedBot(
        wiring.telegram_client(settings),
        journal or wiring.open_journal(settings),
        wiring.pseudonyms(settings),
        settings,
        secret=SECRET,
        webhook_url="",
        say=lambda _: None,
    )


class Served:
    """A server with a bot, the simulator that it calls, and its database.

    `with served.serving:` runs it.
    """

    def __init__(self, sim: Simulating, home: Path, bundle: Path) -> None:
        settings = bot_settings(home, sim.url)
        self.sim, self.database = sim, home / "bot.db"
        self.journal: Journal = wiring.open_journal(settings)
        self.serving = Serving(FixedBundle(bundle), served_by(settings, self.journal))

    def post(self, body: object, secret: str | None = SECRET, **headers: str) -> httpx.Response:
        given = {HEADER: secret} if secret is not None else {}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.serving.client.post(WEBHOOK, content=content, headers={**given, **headers})

    def ids(self) -> set[int]:
        return {row.update_id for row in stored(self.database)}

    def is_ready(self) -> bool:
        return self.post({}).status_code == 200


class Botting:
    """A bot that polls, while the `with` block lasts.

    Attributes:
        journal: its database.
        error: what ended it early.
    """

    def __init__(
        self,
        simulating: Simulating,
        home: Path,
        bundle: Path,
        *,
        predict: Callable[[bytes], Any] | None = None,
        **parts: Any,
    ) -> None:
        self._settings = bot_settings(home, simulating.url)
        self._models = watch_models(FixedBundle(bundle), Metrics())
        self._predict, self._given = predict, parts
        self.journal = wiring.open_journal(self._settings)
        self.error: BaseException | None = None
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Botting:
        self._models.look()
        self._thread.start()
        wait_for(lambda: self._ready.is_set() or self.error or not self._thread.is_alive())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self.journal.close()

    def stop(self) -> None:
        """End the bot; its database stays open."""
        if self._task is not None and not self._loop.is_closed():
            with suppress(RuntimeError):  # it ended meanwhile
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def rows(self) -> list[Any]:
        """Return the rows of the inbox by number."""
        return self.journal.submit(
            lambda c: list(c.execute(select(updates_table).order_by(updates_table.c.update_id)))
        ).result(10)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._work())
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            self.error = error

    async def _work(self) -> None:
        batcher = Batcher(lambda: self._models.current, queue_size=64)
        client = Client(TOKEN, self._settings.telegram_url, patience_s=5)
        given: dict[str, Any] = {"predict": self._predict or batcher.submit, **self._given}
        bot = Bot(
            Parts(
                client=client,
                journal=self.journal,
                names=wiring.pseudonyms(self._settings),
                knowledge=self._knowledge,
                **given,
            )
        )
        try:
            async with client:
                self._task = asyncio.create_task(bot.poll(lambda _: self._ready.set()))
                with suppress(asyncio.CancelledError):
                    await self._task
        finally:
            await batcher.close()

    def _knowledge(self) -> Knowledge:
        serving = self._models.current
        assert serving is not None
        return Knowledge(
            labels=tuple(serving.bundle.labels),
            username="",
            model_name=serving.model.name,
            model_version=serving.model.version,
        )


def answers(simulating: Simulating, chat: int) -> list[Any]:
    """Return what the bot said in a chat."""
    messages = list(simulating.telegram.state.rooms[chat].messages.values())
    return [one for one in messages if one["from"]["is_bot"]]


def stored(database: Path) -> list[Any]:
    """Return the rows of the inbox in a file, as another process sees them."""
    engine = open_chat_database(f"sqlite:///{database}")
    try:
        with engine.begin() as connection:
            query = select(updates_table).order_by(updates_table.c.update_id)
            return list(connection.execute(query))
    finally:
        engine.dispose()
