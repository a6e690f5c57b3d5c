"""A simulated Telegram in a thread: a real server on a free loopback port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

import httpx
import uvicorn

from doggo.telegram_sim.app import create_app
from doggo.telegram_sim.telegram import Telegram

TOKEN = "424242:of-the-tests"  # noqa: S105 - opens nothing but this simulator
PATIENCE_S = 20.0


class Simulating:
    """The simulator while the `with` block lasts.

    Attributes:
        telegram: to act as people and to look into.
        url: where it answers.
        bot_url: what a bot takes for `https://api.telegram.org/bot`.
        client: an HTTP client for it.
    """

    def __init__(self, **options: object) -> None:
        self.telegram = Telegram(TOKEN, **options)  # type: ignore[arg-type]
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.bot_url = f"{self.url}/bot"
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=PATIENCE_S)
        config = uvicorn.Config(
            create_app(self.telegram),
            http="httptools",
            ws="none",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}
        )

    def __enter__(self) -> Simulating:
        self._thread.start()
        wait_for(lambda: self._server.started)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        self.telegram.close()
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def call(self, method: str, **arguments: object) -> httpx.Response:
        """Call the Bot API with JSON."""
        return self.client.post(f"/bot{TOKEN}/{method}", json=arguments)

    def start_user(self, first_name: str = "Ada", language_code: str = "en") -> int:
        """Add a person who has begun to talk to the bot; returns the id of user and chat."""
        user_id = self.telegram.people.add_user(first_name, language_code)["id"]
        self.telegram.people.send_text(user_id, user_id, "/start")
        return user_id


def wait_for(true: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
