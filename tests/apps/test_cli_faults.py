"""The long way of the command line when the disk fills up or somebody stops it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.commands import run_doggo, start_doggo

from doggo.apps.drawn import write_drawn


def fill(folder: Path) -> Path:
    """Leave no byte free on the disk of a folder; return the file that took them."""
    filler = folder / "somebody-elses.bin"
    with filler.open("wb") as file:
        for step in (2**20, 2**12):
            with suppress(OSError):  # until the disk is full
                while True:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), step)
    return filler


def test_run_on_a_disk_that_fills_up_is_one_line_and_the_same_command_completes(
    tmp_path: Path, small_disk: Callable[[str], Path]
) -> None:
    folder, disk = tmp_path / "photos", small_disk("256m")
    list(write_drawn(folder, breeds=3, pictures=6))
    running = start_doggo(disk / "home", "run", folder)
    running.wait_for("embed: ")
    filler = fill(disk)
    done = running.end()
    assert done.code == 1
    assert "the disk is full" in done.line()
    assert done.out == ""
    assert done.other_lines() == [done.line()]
    filler.unlink()
    assert not list(disk.rglob(".tmp*"))
    assert not list((disk / "home" / "work").iterdir())
    assert run_doggo(disk / "home", "models", "list", "--json").json() == []
    again = run_doggo(disk / "home", "run", folder, "--json").json()
    assert (again["intake"]["already_present"], again["version"]) == (18, 1)
    assert again["promoted"] is True
