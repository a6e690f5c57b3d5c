"""Nobody is told that a runtime was loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tiny_bundle import COLOURS, make_bundle, picture

from doggo.vision.pairs import PAIRS, Pair, usable_pairs


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_a_prediction_leaves_nothing_in_the_home_of_the_user(tmp_path: Path, pair: Pair) -> None:
    """Both keep the id under which they report in there, once they have one."""
    if pair not in usable_pairs():
        pytest.skip(f"{pair.name} does not run here")
    bundle, photo = make_bundle(tmp_path / "bundle"), tmp_path / "pug.png"
    photo.write_bytes(picture(COLOURS["pug"]))
    (tmp_path / "user").mkdir()
    # Not all of the environment: OpenVINO is quiet where it looks like a CI.
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    told = {"HOME": tmp_path / "user", "DOGGO_HOME": tmp_path / "home", "DOGGO_RUNTIME": pair.name}
    done = subprocess.run(
        [sys.executable, "-m", "doggo", "predict", photo, "--bundle", bundle],
        env={**kept, **{name: str(value) for name, value in told.items()}},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "user").rglob("*"))
