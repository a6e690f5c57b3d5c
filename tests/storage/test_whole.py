"""A file is whole under its name, or as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from doggo.core.errors import StorageError
from doggo.storage.whole import write_whole


def test_a_file_is_replaced_and_its_folder_made(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "file.bin"
    write_whole(file, b"first")
    write_whole(file, memoryview(b"second"))
    assert file.read_bytes() == b"second"
    assert list(file.parent.iterdir()) == [file]


def test_a_full_disk_leaves_what_was_there(small_disk: Callable[[str], Path]) -> None:
    file = small_disk("64k") / "file.bin"
    write_whole(file, b"as it was")
    with pytest.raises(StorageError, match=r"cannot write .*file\.bin: the disk is full"):
        write_whole(file, bytes(100_000))
    assert file.read_bytes() == b"as it was"
    assert list(file.parent.iterdir()) == [file]
