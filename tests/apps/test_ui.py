"""`doggo ui`: what is moved in the tracker's pages goes to the gate while they are open."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest
from tests.bot_processes import add_bundle, bundles, free_port
from tests.commands import run_doggo, start_doggo
from tests.registry.pages import Pages
from tests.simulating import wait_for

from doggo.apps import ui
from doggo.core.errors import StorageError
from doggo.settings import Settings


def _pages_that(monkeypatch: pytest.MonkeyPatch, *, do: str) -> None:
    """Let a process that takes no seconds to start stand for MLflow's pages."""
    command = [sys.executable, "-c", f"import sys, time; {do}"]
    monkeypatch.setattr(ui, "ui_command", lambda *_, **__: command)


def test_an_alias_moved_while_the_pages_are_open_goes_to_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    add_bundle(home)
    add_bundle(home, turn=1, promote=False)
    assert run_doggo(home, "models", "sync").code == 0
    pages = Pages(home)
    assert pages.aliases("colour") == {"production": 1, "staging": 2}
    pages.move("colour", "production", 2)
    monkeypatch.setenv("DOGGO_HOME", str(home))
    monkeypatch.setattr(ui, "SYNC_EVERY_S", 0.05)
    _pages_that(monkeypatch, do="time.sleep(60)")
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "put back" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ui.run_ui(Settings(home=home), port=free_port(), say=say)
    assert said[-1].startswith("colour: version 2 was not promoted")
    assert pages.aliases("colour") == {"production": 1, "staging": 2}
    pointer = bundles(home).production()
    assert pointer is not None
    assert pointer.version == 1


def test_pages_that_do_not_start_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pages_that(monkeypatch, do="sys.stderr.write('a traceback\\nno such table\\n'); sys.exit(3)")
    with pytest.raises(
        StorageError, match=r"ended with code 3: no such table; .*pages\.log"
    ) as told:
        ui.run_ui(Settings(home=tmp_path), port=free_port(), say=lambda _: None)
    assert "\n" not in str(told.value)


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_doggo(tmp_path / "home", "ui", "--port", port)
    assert (done.code, done.other_lines()) == (1, [done.line()])
    assert f"port {port} cannot be used" in done.line()


def _group(port: int) -> list[psutil.Process]:
    """The processes of the pages: MLflow and what it starts."""
    words = ["--port", str(port)]
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "127.0.0.1" in line and any(line[at : at + 2] == words for at in range(len(line))):
            found.append(process)
    return found


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_the_pages_end_with_the_command_and_it_says_nothing_but_where_they_are(
    tmp_path: Path, number: signal.Signals
) -> None:
    if number == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux tells a process that its parent was killed")
    port = free_port()
    running = start_doggo(tmp_path / "home", "ui", "--port", port)
    wait_for(lambda: _answers(port), within_s=60)
    left = _group(port)
    assert len(left) == 2, "MLflow, and the server that it starts"
    running.process.send_signal(number)
    done = running.end()
    _, alive = psutil.wait_procs(left, timeout=20)
    assert not alive
    assert not _answers(port)
    assert done.code == {signal.SIGINT: 130, signal.SIGKILL: -9}.get(number, 0)
    where, *rest = done.err.splitlines()
    assert f"http://127.0.0.1:{port} " in where
    assert len(rest) == (number == signal.SIGINT), done.err
