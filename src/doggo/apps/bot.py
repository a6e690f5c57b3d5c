"""The bot put together: beside the server with a webhook, or alone, polling.

Owns the assembly and the life of its parts in either process. Each part is in `bot/`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import uvloop

from doggo.apps.ngrok import tunnel_url
from doggo.bot.client import CallError, Client, Trouble
from doggo.bot.incoming import BotName
from doggo.bot.scene import Knowledge
from doggo.bot.service import Bot, Parts
from doggo.bot.webhook import PATH, webhook_route
from doggo.core.errors import DoggoError, UsageError
from doggo.core.records import Prediction
from doggo.serve.batcher import Batcher
from doggo.serve.metrics import Metrics
from doggo.serve.models import NO_MODEL_YET, Models, ModelSource
from doggo.settings import Settings
from doggo.storage.journal import Journal
from doggo.storage.people import Pseudonyms

logger = logging.getLogger(__name__)

Predict = Callable[[bytes], Awaitable[Prediction]]

_NO_ADDRESS = (
    "Telegram brings updates to https addresses alone, on port 443, 80, 88 or 8443: give the one "
    "of your tunnel or proxy, like https://dogs.example.org"
)


class ServedBot:
    """A bot inside the server's process, fed by a webhook.

    Args:
        secret: what Telegram sends along to the webhook.
        webhook_url: address to have Telegram bring updates to; empty: leave it as it is set.
        say: told lines for the owner.
    """

    def __init__(
        self,
        client: Client,
        journal: Journal,
        names: Pseudonyms,
        settings: Settings,
        *,
        secret: str,
        webhook_url: str,
        say: Callable[[str], None],
    ) -> None:
        self._client, self._journal, self._names = client, journal, names
        self._settings, self._secret, self._say = settings, secret, say
        self._webhook_url = webhook_url
        self._bot: Bot | None = None
        self.route = webhook_route(self._take, secret)

    def _take(self) -> Callable[..., Awaitable[int]] | None:
        inbox = self._bot.inbox if self._bot else None
        return inbox.take if inbox else None

    @asynccontextmanager
    async def at_work(
        self, models: Models, predict: Predict, metrics: Metrics
    ) -> AsyncIterator[None]:
        """Run the bot for as long as the block lasts; the database is closed after it."""
        async with self._client:
            self._bot = Bot(
                _parts(
                    self._client,
                    self._journal,
                    self._names,
                    self._settings,
                    models=models,
                    predict=predict,
                    metrics=metrics,
                )
            )
            metrics.watch_bot(lambda: self._bot.backlog if self._bot else (0, 0))
            task = asyncio.create_task(self._run(self._bot))
            try:
                yield
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await asyncio.to_thread(self._journal.close)

    async def _run(self, bot: Bot) -> None:
        """Keep the bot at work; what stops it does not stop the server."""
        try:
            await self._point_webhook()
            await bot.serve()
        except DoggoError as error:
            logger.error("bot.stopped %s", error)
            self._say(f"doggo: the bot stopped: {error}")
        except Exception:
            logger.exception("bot.failed")
            raise

    async def _point_webhook(self) -> None:
        if not self._webhook_url:
            return
        pause_s = 1.0
        while True:
            try:
                await self._client.set_webhook(self._webhook_url, self._secret)
            except CallError as error:
                if error.trouble is not Trouble.AWAY and error.trouble is not Trouble.FLOOD:
                    raise UsageError(
                        f"Telegram refuses the webhook {self._webhook_url}: {error.words}"
                    ) from error
                await asyncio.sleep(max(pause_s, error.retry_after_s))
                pause_s = min(2 * pause_s, 60.0)
            else:
                self._say(f"doggo: Telegram brings updates to {self._webhook_url}")
                return


def served_bot(
    settings: Settings, webhook: str | None, *, ngrok: bool, say: Callable[[str], None]
) -> ServedBot:
    """Return the bot for the server.

    Args:
        webhook: public address of the server; None: leave the webhook as it is.
        ngrok: ask the ngrok of this machine for the address, if it runs.

    Raises:
        UsageError: there is no token, or the address cannot be a webhook.
    """
    from doggo import wiring

    client = wiring.telegram_client(settings)
    if ngrok:
        webhook = _tunnel(settings, say) or webhook
    return ServedBot(
        client,
        wiring.open_journal(settings),
        wiring.pseudonyms(settings),
        settings,
        secret=wiring.webhook_secret(settings),
        webhook_url=_webhook_url(webhook, settings) if webhook else "",
        say=say,
    )


def run_polling(source: ModelSource, settings: Settings, *, say: Callable[[str], None]) -> None:
    """Fetch updates from Telegram and answer them until SIGTERM or SIGINT.

    Raises:
        UsageError: no token or a wrong one; another process is this bot already.
        StorageError: the bot's database cannot be used.
    """
    from doggo import wiring

    client, names = wiring.telegram_client(settings), wiring.pseudonyms(settings)
    journal = wiring.open_journal(settings)
    metrics = Metrics()
    models = Models(source, on_swap=lambda _: None, on_refusal=lambda _: None)
    models.look()

    def ready(me: BotName) -> None:
        serving = models.current
        what = NO_MODEL_YET if serving is None else serving.model.name
        say(f"doggo: @{me.username} answers in Telegram with {what}  (Ctrl-C stops)")

    async def work() -> None:
        batcher = Batcher(lambda: models.current, queue_size=settings.queue_size)
        models.start()
        parts = _parts(
            client, journal, names, settings, models=models, predict=batcher.submit, metrics=metrics
        )
        try:
            async with client:
                await _until_signalled(Bot(parts).poll(ready))
        finally:
            await asyncio.to_thread(models.stop)
            await batcher.close()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work())
    finally:
        journal.close()


def _tunnel(settings: Settings, say: Callable[[str], None]) -> str | None:
    try:
        return tunnel_url(settings.ngrok_url)
    except UsageError as error:
        say(f"doggo: {error}")
        return None


def _parts(
    client: Client,
    journal: Journal,
    names: Pseudonyms,
    settings: Settings,
    *,
    models: Models,
    predict: Predict,
    metrics: Metrics,
) -> Parts:
    return Parts(
        client=client,
        journal=journal,
        names=names,
        predict=predict,
        knowledge=partial(_knowledge, models, settings.owners),
        in_flight=settings.bot_in_flight,
        count=lambda kind: metrics.updates.labels(kind).inc(),
    )


def _knowledge(models: Models, owners: frozenset[int]) -> Knowledge:
    serving = models.current
    if serving is None:
        return Knowledge(labels=(), username="", owners=owners)
    return Knowledge(
        labels=tuple(serving.bundle.labels),
        username="",
        model_name=serving.model.name,
        model_version=serving.model.version,
        owners=owners,
    )


def _webhook_url(address: str, settings: Settings) -> str:
    rehearsal = not settings.telegram_url.startswith("https://api.telegram.org")
    if not address.startswith("https://") and not (rehearsal and address.startswith("http://")):
        raise UsageError(f"{address!r} cannot be a webhook: {_NO_ADDRESS}")
    return address.rstrip("/").removesuffix(PATH) + PATH


async def _until_signalled(work: Awaitable[None]) -> None:
    """Run until done, or until SIGTERM or SIGINT ask for a clean end."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
