"""A file is whole under its name, or as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from doggo.core.errors import StorageError
from doggo.storage.whole import create_file, create_folder, link_file, move_file, write_whole


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


def test_a_name_that_is_taken_stays(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"second")
    assert create_file(tmp_path / "file", b"first")
    assert not create_file(tmp_path / "file", b"second")
    link_file(tmp_path / "file", source)
    assert (tmp_path / "file").read_bytes() == b"first"
    assert create_folder(tmp_path / "folder", {"a": b"first"})
    assert not create_folder(tmp_path / "folder", {"a": b"second"})
    assert (tmp_path / "folder" / "a").read_bytes() == b"first"
    assert {path.name for path in tmp_path.iterdir()} == {"source", "file", "folder"}


def test_a_folder_with_a_file_that_is_not_there_does_not_appear(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        create_folder(tmp_path / "folder", {"a": b"data", "b": tmp_path / "nothing"})
    assert list(tmp_path.iterdir()) == []


def test_a_file_moves_into_a_folder_that_is_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"data")
    move_file(str(tmp_path / "new" / "folder" / "file"), file)
    assert (tmp_path / "new" / "folder" / "file").read_bytes() == b"data"
    assert not file.exists()
    with pytest.raises(FileNotFoundError):
        move_file(str(tmp_path / "other"), file)
