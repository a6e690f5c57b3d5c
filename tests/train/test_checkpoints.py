"""The folders of fine-tunes: old ones go, those under way stay."""

from __future__ import annotations

import os
from pathlib import Path

from doggo.train.checkpoints import BEST, checkpoint_folder

_LONG_AGO = (0.0, 0.0)


def _age(root: Path) -> None:
    for place in [*root.rglob("*")]:
        os.utime(place, _LONG_AGO, follow_symlinks=False)


def test_what_nobody_touched_for_a_week_goes_with_its_lock(tmp_path: Path) -> None:
    with checkpoint_folder(tmp_path, {"seed": 1}) as old:
        (old / BEST).write_bytes(b"weights")
    with checkpoint_folder(tmp_path, {"seed": 2}) as young:
        (young / BEST).write_bytes(b"weights")
        assert old.is_dir()
        _age(tmp_path)
        (young / BEST).touch()
    with checkpoint_folder(tmp_path, {"seed": 3}) as mine:
        names = {place.name for place in tmp_path.iterdir()}
    assert names == {young.name, f"{young.name}.lock", mine.name, f"{mine.name}.lock"}


def test_a_training_that_goes_on_after_a_week_keeps_its_folder_and_its_lock(tmp_path: Path) -> None:
    with checkpoint_folder(tmp_path, {"seed": 1}) as folder:
        (folder / BEST).write_bytes(b"weights")
    _age(tmp_path)
    with checkpoint_folder(tmp_path, {"seed": 1}) as again:
        _age(tmp_path)
        with checkpoint_folder(tmp_path, {"seed": 2}):
            assert (again / BEST).read_bytes() == b"weights"
            assert (tmp_path / f"{folder.name}.lock").exists()


def test_a_neighbour_that_vanishes_meanwhile_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")  # it is listed, and then is not there
    with checkpoint_folder(tmp_path, {"seed": 1}) as folder:
        assert folder.is_dir()
