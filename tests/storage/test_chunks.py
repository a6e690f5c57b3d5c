"""Chunks of arrays: what is damaged is absent and gone, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from doggo.core.errors import StorageError
from doggo.storage.chunks import Chunks

FIRST = np.arange(6, dtype=np.float16).reshape(2, 3)


@pytest.fixture
def chunks(tmp_path: Path) -> Chunks:
    chunks = Chunks(tmp_path / "kept", "squares")
    chunks.append(["a", "b"], FIRST)
    return chunks


def _file(chunks: Chunks, suffix: str) -> Path:
    (file,) = chunks.folder.glob(f"*.{suffix}")
    return file


def test_a_chunk_comes_back_as_it_was_given(chunks: Chunks) -> None:
    (chunk,) = chunks.holding(["b", "x"])
    assert chunk.ids == ("a", "b")
    assert chunk.arrays.dtype == np.float16
    np.testing.assert_array_equal(chunk.arrays, FIRST)


def test_a_chunk_that_nobody_asks_for_is_not_read(chunks: Chunks) -> None:
    _file(chunks, "npy").write_bytes(b"")
    assert chunks.holding(["x"]) == []
    assert _file(chunks, "npy").is_file()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"\xff" + data[1:],  # no text
        lambda data: b"0" * 64 + data[64:],
        lambda data: data.replace(b"\nb", b""),
        lambda data: data + b"\nc",
    ],
    ids=["no text", "another sha256", "an id lost", "an id too many"],
)
def test_damaged_ids_count_as_absent_and_both_files_go(
    damage: Callable[[bytes], bytes], chunks: Chunks
) -> None:
    ids_file = _file(chunks, "ids")
    ids_file.write_bytes(damage(ids_file.read_bytes()))
    assert chunks.holding(["a", "b"]) == []
    assert list(chunks.folder.iterdir()) == []


@pytest.mark.parametrize("cut", [0, 40, -1])
def test_a_damaged_array_counts_as_absent_and_both_files_go(cut: int, chunks: Chunks) -> None:
    array = _file(chunks, "npy")
    array.write_bytes(array.read_bytes()[:cut])
    assert chunks.holding(["a"]) == []
    assert list(chunks.folder.iterdir()) == []


def test_a_damaged_chunk_takes_no_other_one_with_it(chunks: Chunks) -> None:
    _file(chunks, "ids").write_bytes(b"\xff\xfe")
    chunks.append(["c"], FIRST[:1])
    (chunk,) = chunks.holding(["a", "b", "c"])
    assert chunk.ids == ("c",)


def test_a_chunk_whose_ids_were_never_written_does_not_exist(chunks: Chunks) -> None:
    _file(chunks, "ids").unlink()
    assert chunks.holding(["a", "b"]) == []


def test_what_the_disk_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot keep squares in .*a file is where a folder"):
        Chunks(tmp_path / "kept", "squares").append(["a"], FIRST[:1])
