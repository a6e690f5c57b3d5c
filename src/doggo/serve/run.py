"""A server process: one port, one event loop, a clean end.

Owns uvicorn's settings, the line that says where the server listens, and its shutdown. Knows
nothing of what the app answers.
"""

from __future__ import annotations

import errno
import gc
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from doggo.core.errors import UsageError
from doggo.core.os_errors import explain_os_error
from doggo.serve.protocol import PatientProtocol

GRACE_S = 20
"""How long photos that are inside may take after SIGTERM."""

_SWITCH_INTERVAL_S = 0.001


def run(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    ready: Callable[[str], None],
    stop_after: Callable[[Callable[[], None]], None] | None = None,
) -> None:
    """Serve `app` until SIGTERM or SIGINT; what is inside is answered first.

    Args:
        port: 0 for any free one.
        ready: told the server's URL once it answers.
        stop_after: for a server inside another program: told how to stop it.

    Raises:
        UsageError: the address cannot be used.
    """
    listener = _listen(host, port)
    # Several threads share the interpreter's lock; with the default of 5 ms a thread that
    # computes would keep the event loop waiting for longer than a photo takes.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config, lambda: ready(_url(listener)))
    if stop_after is not None:
        stop_after(server.stop)
    with listener:
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # The libraries stay: left to the collector, each full round looks at all of them again
        # and holds every photo up for 70 ms.
        gc.collect()
        gc.freeze()
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        gc.unfreeze()
        # uvicorn would raise the signal again now; an end that was asked for is no failure.
        self._captured_signals.clear()

    def stop(self) -> None:
        """End the server from another thread."""
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} on {host} is in use: stop what listens there, or choose another "
                "with --port (0: any free one)"
            ) from error
        raise UsageError(f"cannot listen on {host}:{port}: {explain_os_error(error)}") from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
