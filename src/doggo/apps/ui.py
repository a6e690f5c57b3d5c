"""`doggo ui`: the tracker's pages on loopback, with its aliases and production kept in step.

Owns the processes of the pages: they end with this one, however it ends, and what they say goes
to a file beside their database.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from doggo.core.errors import StorageError
from doggo.core.os_errors import explained
from doggo.settings import Settings
from doggo.storage.home import make_home
from doggo.tracking.mlflow import ui_command, ui_environment

SYNC_EVERY_S = 5.0
"""How soon an alias that someone moves in the pages goes to the gate."""

_END_TIMEOUT_S = 10.0
_LAST_BYTES = 4000
_PR_SET_PDEATHSIG = 1


def run_ui(settings: Settings, *, port: int, say: Callable[[str], None]) -> None:
    """Show the tracker's pages until Ctrl-C, SIGTERM or SIGHUP.

    Raises:
        UsageError: the tracker is a server of its own.
        StorageError: the home or the port cannot be used, or the pages did not start.
    """
    command = ui_command(settings.tracker, settings.home, port=port)
    make_home(settings.home)
    log = settings.home / "tracker" / "pages.log"
    _check_free(port)
    with _until_ended(), _pages(command, log) as pages:
        say(f"doggo: the tracker's pages will be at http://127.0.0.1:{port} shortly (Ctrl-C stops)")
        while True:
            try:
                code = pages.wait(SYNC_EVERY_S)
            except subprocess.TimeoutExpired:
                _sync(say)
            else:
                raise StorageError(
                    f"the tracker's pages ended with code {code}: {_last_line(log)}; all that they "
                    f"said is in {log}"
                )


class _Ended(Exception):  # noqa: N818 - no error: somebody asked for the end
    """SIGTERM or SIGHUP came."""


@contextmanager
def _until_ended() -> Iterator[None]:
    """End the block when SIGTERM or SIGHUP comes, as at its end."""

    def end(_: int, __: FrameType | None) -> None:
        raise _Ended

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # as `nohup` leaves SIGHUP
                signal.signal(number, end)
        yield
    except _Ended:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _pages(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the pages in a group of their own, so that all of them end: MLflow starts others."""
    parent = os.getpid()

    def die_with_parent() -> None:
        # MLflow hands SIGTERM on to what it started; of SIGKILL they would know nothing.
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(0)

    with explained(f"write {log}"):
        log.parent.mkdir(parents=True, exist_ok=True)
        said = log.open("wb")
    with said:
        pages = subprocess.Popen(
            command,
            env=ui_environment(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - there is no other thread
        )
    try:
        yield pages
    finally:
        _end(pages)


def _end(pages: subprocess.Popen[bytes]) -> None:
    try:
        pages.terminate()
        with suppress(subprocess.TimeoutExpired):
            pages.wait(_END_TIMEOUT_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pages.pid, signal.SIGKILL)
        pages.wait()


def _check_free(port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise StorageError(
                f"port {port} cannot be used ({error.strerror}): choose another with --port"
            ) from error


def _last_line(log: Path) -> str:
    lines = log.read_bytes()[-_LAST_BYTES:].decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "they said nothing"


def _sync(say: Callable[[str], None]) -> None:
    # A process of its own: the registry, the runtime and torch would stay in this one's memory.
    done = subprocess.run(
        [sys.executable, "-m", "doggo", "models", "sync"],
        check=False,
        capture_output=True,
        text=True,
    )
    for line in (done.stdout + done.stderr).splitlines():
        if "agree" not in line:
            say(line)
