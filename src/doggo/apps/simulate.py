"""`doggo simulate`: the bot in a Telegram of its own, with a chat page in the browser.

The simulator answers in a thread, the bot polls it as it would poll the real one. What is said in
a rehearsal is gone when it ends: its database is a temporary one.
"""

from __future__ import annotations

import secrets
import socket
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from pydantic import SecretStr

from doggo.apps.bot import run_polling
from doggo.core.errors import UsageError
from doggo.core.os_errors import explain_os_error
from doggo.serve.models import ModelSource
from doggo.settings import Settings
from doggo.telegram_sim.app import create_app
from doggo.telegram_sim.telegram import Telegram

_BOT_ID = 424242


def simulate(
    source: ModelSource,
    settings: Settings,
    *,
    port: int,
    browser: bool,
    say: Callable[[str], None],
) -> None:
    """Rehearse until SIGTERM or SIGINT.

    Args:
        port: of the chat page on loopback; 0 for any free one.
        browser: open the page once it answers.

    Raises:
        UsageError: the port is taken.
    """
    token = f"{_BOT_ID}:{secrets.token_urlsafe(24)}"
    with (
        tempfile.TemporaryDirectory(prefix="doggo-rehearsal-") as folder,
        _served(Telegram(token), port) as url,
    ):
        rehearsal = settings.model_copy(
            update={
                "tele_api_key": SecretStr(token),
                "telegram_url": url,
                "bot_database": SecretStr(f"sqlite:///{Path(folder) / 'bot.db'}"),
                "person_key": SecretStr(secrets.token_hex(32)),
            }
        )
        say(f"doggo: chat with the bot at {url}")
        if browser:
            webbrowser.open(url)
        run_polling(source, rehearsal, say=say)


@contextmanager
def _served(telegram: Telegram, port: int) -> Iterator[str]:
    """Serve the simulator from a thread; gives its URL."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on port {port}: {explain_os_error(error)}; choose another with --port"
        ) from error
    config = uvicorn.Config(
        create_app(telegram),
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    with listener:
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            telegram.close()
            server.should_exit = True
            thread.join()
