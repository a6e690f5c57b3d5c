"""`python -m doggo.telegram_sim`: the simulator as a process of its own.

Prints one line, its URL, once it answers. State is in memory: it ends with the process.
"""

from __future__ import annotations

import argparse
import logging
import socket
import sys
from types import FrameType

import uvicorn

from doggo.telegram_sim.app import create_app
from doggo.telegram_sim.telegram import Telegram

DEFAULT_TOKEN = "424242:rehearsal"  # noqa: S105 - of nobody: it opens this simulator alone
_GRACE_S = 2


def main(argv: list[str] | None = None) -> int:
    """Serve on loopback until SIGTERM or SIGINT; returns the exit code."""
    wanted = _parser().parse_args(argv)
    telegram = Telegram(
        wanted.token, retry_factor=wanted.retry_factor, enforce_limits=not wanted.no_limits
    )
    # A fault that breaks an answer off is no error of the server.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", wanted.port))
    except OSError as error:
        print(f"cannot listen on port {wanted.port}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    config = uvicorn.Config(
        create_app(telegram),
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    with listener:
        _Server(config, telegram, listener.getsockname()[1]).run(sockets=[listener])
    return 0


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, telegram: Telegram, port: int) -> None:
        super().__init__(config)
        self._telegram = telegram
        self._port = port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"http://127.0.0.1:{self._port}", flush=True)  # noqa: T201

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._telegram.close()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        # uvicorn would raise the signal again now; an end that was asked for is no failure.
        self._captured_signals.clear()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m doggo.telegram_sim", description=__doc__)
    parser.add_argument("--port", type=int, default=8081, help="0: any free one")
    parser.add_argument("--token", default=DEFAULT_TOKEN, help="that the bot signs in with")
    parser.add_argument(
        "--no-limits", action="store_true", help="count sends over Telegram's limits, refuse none"
    )
    parser.add_argument(
        "--retry-factor", type=float, default=1.0, help="scales the delays of the webhook's retries"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
