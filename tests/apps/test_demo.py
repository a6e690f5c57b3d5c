"""The demo shows what a user gets, checks it, ends by itself, and replaces nobody's model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from doggo.apps.demo import Asked, wrong_answers
from doggo.apps.drawn import write_drawn

ROOT = Path(__file__).resolve().parents[2]


def _asked(photo: str, verdict: str, best: str) -> Asked:
    return Asked(photo=photo, known="", verdict=verdict, breeds=((best, 0.9),), latency_ms=1.0)


GOOD = (
    _asked("imagenet_00_243.jpg", "breed", "bull_mastiff"),
    _asked("imagenet_16_251.jpg", "unsure", "english_setter"),
    _asked("imagenet_01_559.jpg", "not_a_dog", "pug"),
)


@pytest.mark.parametrize(
    "bad",
    [
        _asked("imagenet_00_243.jpg", "breed", "boxer"),
        _asked("imagenet_00_243.jpg", "unsure", "bull_mastiff"),
        _asked("imagenet_16_251.jpg", "breed", "english_setter"),
        _asked("imagenet_01_559.jpg", "unsure", "pug"),
    ],
    ids=["bull_mastiff_misnamed", "bull_mastiff_unsure", "dalmatian_misnamed", "chair_named"],
)
def test_an_answer_that_must_not_be_given_is_told(bad: Asked) -> None:
    assert wrong_answers(GOOD) == []
    assert len(wrong_answers([*GOOD, bad])) == 1


def _demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if "DOGGO" not in name}
    process = subprocess.Popen(
        [sys.executable, "-m", "doggo.apps.demo", *arguments],
        cwd=folder,
        env={**environment, "DOGGO_HOME": str(folder / "home")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=280)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)  # the commands that it runs as well
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _check_what_is_shown_without_photos(shown: str, home: Path) -> None:
    lines = shown.splitlines()
    asked = [line for line in lines if line.startswith("imagenet_")]
    assert len(asked) == 20
    assert sum("not_a_dog" in line for line in asked) >= 18
    assert any("Bull Mastiff" in line and "breed" in line for line in asked)
    assert "Drawn pictures: checks the machinery; says nothing about dogs" in lines
    for stage in ("doggo bootstrap", "server ready", "20 real photos over", "doggo run (drawn)"):
        assert any(line.startswith(stage) for line in lines), stage
    report = next(line.split()[-1] for line in lines if line.startswith("report"))
    assert Path(report).is_file()
    assert any("run FOLDER" in line for line in lines)
    # The drawn breeds stay in a home of their own.
    assert not list(home.rglob("*drawn_*"))
    assert json.loads((home / "demo.json").read_text()) == {"versions": [1]}


def test_a_stranger_sees_it_without_photos_then_with_them_and_keeps_a_model(tmp_path: Path) -> None:
    # One test, since each step stands on the one before and takes half a minute.
    home = tmp_path / "home"
    without = _demo(tmp_path)
    assert without.returncode == 0, without.stderr
    _check_what_is_shown_without_photos(without.stdout, home)

    photos = tmp_path / "photos"
    list(write_drawn(photos, breeds=4, pictures=12))
    given = _demo(tmp_path, "--photos", str(photos))
    assert given.returncode == 0, given.stderr
    assert "4 photos of the test split over HTTP" in given.stdout
    assert (home / "buckets" / "raw" / "drawn_rings").is_dir()
    assert json.loads((home / "demo.json").read_text()) == {"versions": [1, 2]}

    # A production model that the demo did not make is somebody's own.
    (home / "demo.json").unlink()
    before = sorted(home.rglob("*"))
    refused = _demo(tmp_path, "--photos", str(photos))
    assert refused.returncode == 2
    assert "FORCE=1" in refused.stderr
    assert sorted(home.rglob("*")) == before


def test_a_folder_without_photos_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = _demo(tmp_path, "--photos", str(tmp_path / "empty"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "empty") in done.stderr
