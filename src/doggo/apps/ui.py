"""`doggo ui`: the tracker's pages on loopback, with its aliases and production kept in step."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from doggo.core.errors import StorageError
from doggo.settings import Settings
from doggo.tracking.mlflow import ui_command, ui_environment

SYNC_EVERY_S = 5.0
"""How soon an alias that someone moves in the pages goes to the gate."""


def run_ui(settings: Settings, *, port: int, say: Callable[[str], None]) -> None:
    """Show the tracker's pages until Ctrl-C.

    Raises:
        StorageError: the tracker is a server of its own, or its pages did not start.
    """
    command = ui_command(settings.tracker, settings.home, port=port)
    pages = subprocess.Popen(command, env=ui_environment(), stdout=subprocess.DEVNULL)
    say(f"doggo: the tracker's pages will be at http://127.0.0.1:{port} shortly (Ctrl-C stops)")
    try:
        while True:
            try:
                code = pages.wait(SYNC_EVERY_S)
            except subprocess.TimeoutExpired:
                _sync(say)
            else:
                raise StorageError(
                    f"the tracker's pages ended with code {code}: is port {port} taken? "
                    "Choose another with --port"
                )
    finally:
        pages.terminate()
        pages.wait()


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
