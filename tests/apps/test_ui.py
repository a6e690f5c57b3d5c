"""`doggo ui`: what is moved in the tracker's pages goes to the gate while they are open."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.bot_processes import add_bundle, bundles
from tests.commands import run_doggo
from tests.registry.pages import Pages

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
        ui.run_ui(Settings(home=home), port=5000, say=say)
    assert said[-1].startswith("colour: version 2 was not promoted")
    assert pages.aliases("colour") == {"production": 1, "staging": 2}
    pointer = bundles(home).production()
    assert pointer is not None
    assert pointer.version == 1


def test_pages_that_do_not_start_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pages_that(monkeypatch, do="sys.exit(3)")
    with pytest.raises(StorageError, match="ended with code 3: is port 5000 taken"):
        ui.run_ui(Settings(home=tmp_path), port=5000, say=lambda _: None)
