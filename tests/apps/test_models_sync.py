"""`doggo models sync` as a command: it heals what a promotion without a tracker left behind."""

from __future__ import annotations

from pathlib import Path

from tests.bot_processes import add_bundle, bundles
from tests.commands import run_doggo
from tests.registry.pages import Pages


def test_a_promotion_that_never_reached_the_pages_is_not_undone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    add_bundle(home)
    assert run_doggo(home, "models", "sync").code == 0
    add_bundle(home, turn=1, promote=False)
    words = ("models", "promote", 2, "--force", "a rehearsal", "--accept-labels", "--json")
    assert run_doggo(home, *words, DOGGO_TRACKER="none").json()["moved"] is True
    synced = run_doggo(home, "models", "sync", "--json")
    assert synced.json()["actions"] == [
        "colour: the alias production named version 1, and again names version 2"
    ]
    pages = Pages(home)
    assert (pages.aliases("colour"), pages.states("colour")) == (
        {"production": 2}, {1: "archived", 2: None},
    )  # fmt: skip
    pointer = bundles(home).production()
    assert pointer is not None
    assert pointer.version == 2
    assert run_doggo(home, "models", "sync").out == "the tracker and production agree\n"
