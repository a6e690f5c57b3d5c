"""Two runs are the same run if everything that their figures depend on is the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import doggo
from doggo.train.config import TrainConfig
from doggo.train.point import point_key

BASE = TrainConfig()


def test_a_default_that_is_written_out_is_the_same_run() -> None:
    written = TrainConfig(lr=BASE.resolved().lr, batch_size=BASE.resolved().batch_size)
    assert point_key(BASE, "m", "r") == point_key(written, "m", "r")


def test_other_options_dataset_or_runtime_are_another_run() -> None:
    keys = {
        point_key(BASE, "m", "r"), point_key(TrainConfig(lr=1e-3), "m", "r"),
        point_key(TrainConfig(seed=1), "m", "r"), point_key(BASE, "other", "r"),
        point_key(BASE, "m", "other"),
    }  # fmt: skip
    assert len(keys) == 5


def test_a_change_in_the_code_that_trains_is_another_run(tmp_path: Path) -> None:
    source = Path(doggo.__file__).parent
    copy = tmp_path / "doggo"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))

    def code() -> str:
        command = "from doggo.train.provenance import code_sha256; print(code_sha256())"
        done = subprocess.run(
            [sys.executable, "-c", command], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    before = code()
    with (copy / "serve" / "run.py").open("a") as file:
        file.write("# nothing that trains\n")
    assert code() == before
    with (copy / "train" / "probe.py").open("a") as file:
        file.write("# trains\n")
    assert code() != before
