"""The small real set is the published file, whole, or it is not there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from doggo.apps.imagewoof import can_be_reached, fetch
from doggo.core.breeds import BREEDS, normalise
from doggo.core.errors import InputError
from doggo.core.progress import silent


def test_it_is_fetched_once_and_unpacked(imagewoof_host: str, tmp_path: Path) -> None:
    sha256 = hashlib.sha256((tmp_path / "host" / "set.tgz").read_bytes()).hexdigest()
    folders = fetch(tmp_path / "data", silent, url=f"{imagewoof_host}/set.tgz", sha256=sha256)
    found = sorted(path.parent.name for folder in folders for path in folder.rglob("*.JPEG"))
    assert found == ["n02086240", "n02086240", "n02088364", "n02088364"]
    assert all(normalise(name) in BREEDS for name in found)
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"imagewoof2-160"}
    again = fetch(tmp_path / "data", silent, url=f"{imagewoof_host}/is-not-asked", sha256=sha256)
    assert again == folders


def test_another_file_than_the_published_one_is_refused(
    imagewoof_host: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="not the published file"):
        fetch(tmp_path / "data", silent, url=f"{imagewoof_host}/set.tgz")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_download_that_fails_is_one_line_and_leaves_nothing(
    imagewoof_host: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="run it again"):
        fetch(tmp_path / "data", silent, url=f"{imagewoof_host}/not-there.tgz")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_host_is_asked_whether_it_is_there(imagewoof_host: str) -> None:
    assert can_be_reached(f"{imagewoof_host}/set.tgz")
    assert not can_be_reached(f"{imagewoof_host}/not-there.tgz")
    assert not can_be_reached("http://127.0.0.1:9/set.tgz")
