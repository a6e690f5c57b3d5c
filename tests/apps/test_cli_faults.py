"""The long way of the command line when the disk fills up or somebody stops it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
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
    # Whichever comes first: the write that fails, or the look at what is free before it.
    assert "the disk is full" in done.line() or "not enough disk" in done.line()
    assert done.out == ""
    # The tracker, which may fail without stopping a run, may be the first to notice.
    others = [line for line in done.other_lines() if "tracker.failed" not in line]
    assert others == [done.line()]
    filler.unlink()
    assert not list(disk.rglob(".tmp*"))
    assert not list((disk / "home" / "work").iterdir())
    assert run_doggo(disk / "home", "models", "list", "--json").json() == []
    again = run_doggo(disk / "home", "run", folder, "--json").json()
    assert (again["intake"]["already_present"], again["version"]) == (18, 1)
    assert again["promoted"] is True


def interrupt_and_go_on(tmp_path: Path, *stages: str) -> None:
    """Press Ctrl-C in each of these stages of a run; then let it come to its end."""
    folder, home = tmp_path / "photos", tmp_path / "home"
    list(write_drawn(folder, breeds=4, pictures=10))
    for stage in stages:
        running = start_doggo(home, "run", folder)
        running.wait_for(f"{stage}: ")
        running.press_ctrl_c()
        done = running.end()
        assert (done.code, done.out) == (130, ""), (stage, done.err)
        assert done.other_lines() == [done.line()], stage
        assert "stopped; nothing is lost" in done.line()
    said = run_doggo(home, "run", folder, "--json").json()
    assert (said["photos"], said["version"], said["promoted"]) == (40, 1, True)
    assert not list((home / "work").iterdir())


def test_ctrl_c_leaves_one_line_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    interrupt_and_go_on(tmp_path, "export")


@pytest.mark.soak
def test_ctrl_c_in_any_stage_leaves_one_line_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    interrupt_and_go_on(tmp_path, "intake", "preprocess", "embed", "train", "export", "evaluate")


_INTERRUPTED_WHILE_TAKEN_APART = """
import sys, time
from doggo.apps.cli import repeat_lost_interrupt

class Busy:
    def __del__(self):
        raise KeyboardInterrupt

sys.unraisablehook = repeat_lost_interrupt
try:
    Busy()
    time.sleep(10)
except KeyboardInterrupt:
    print("heard")
"""


def test_ctrl_c_counts_also_while_an_object_is_taken_apart() -> None:
    words = [sys.executable, "-c", _INTERRUPTED_WHILE_TAKEN_APART]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("heard\n", "")
