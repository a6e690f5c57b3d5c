"""Room is asked for before a long stage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from doggo.core.errors import StorageError
from doggo.storage.disk import HEADROOM_BYTES, free_bytes, megabytes, need_disk


def test_what_fits_passes_even_where_no_folder_is_yet(tmp_path: Path) -> None:
    need_disk(tmp_path / "not" / "yet" / "made", 1, "one byte")
    assert not (tmp_path / "not").exists()


def test_what_does_not_fit_is_refused_with_both_figures_and_a_way_out(tmp_path: Path) -> None:
    whole_disk = shutil.disk_usage(tmp_path).total
    with pytest.raises(StorageError, match=r"needed for 7200 photos.*free.*DOGGO_HOME"):
        need_disk(tmp_path / "home", whole_disk, "7200 photos")


def test_the_last_bytes_of_a_disk_are_left_free(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        need_disk(tmp_path, free_bytes(tmp_path) - HEADROOM_BYTES // 2, "everything")


def test_sizes_read_as_people_write_them() -> None:
    assert [megabytes(size) for size in (312_400_000, 5_940_000_000, 0)] == [
        "312 MB",
        "5.9 GB",
        "0 MB",
    ]
