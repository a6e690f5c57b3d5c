"""Array shards: written as a stream, read as views."""

from __future__ import annotations

import errno
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doggo.core.errors import StorageError
from doggo.core.records import ManifestRow, Origin, Split
from doggo.storage import shards
from doggo.storage.buckets import Bucket
from doggo.storage.shards import PixelReader, map_shard, write_shard


def image(seed: int, height_px: int = 7, width_px: int = 5) -> shards.U8:
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)


def row(shard: str, offset: int, height_px: int = 7, width_px: int = 5) -> ManifestRow:
    return ManifestRow(
        photo_id="0" * 64,
        raw_uri="file:///raw/pug/0.jpg",
        breed="pug",
        split=Split.TRAIN,
        sha256="0" * 64,
        group_id="0" * 64,
        shard=shard,
        offset=offset,
        height_px=height_px,
        width_px=width_px,
        origin=Origin.OWNER,
        may_be_shown=True,
    )


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=8))
def test_every_image_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[int, int]]
) -> None:
    bucket = Bucket(tmp_path_factory.mktemp("bucket"))
    images = [image(seed, *size) for seed, size in enumerate(sizes)]
    offsets = write_shard(bucket.path("shard.npy"), images)
    reader = PixelReader(bucket)
    rows = [row("shard.npy", at, *size) for at, size in zip(offsets, sizes, strict=True)]
    for written, read in zip(images, reader.images(rows), strict=True):
        assert np.array_equal(written, read)
    whole = np.load(bucket.path("shard.npy"))  # any numpy reads it, as the first doggo's files
    assert whole.dtype == np.uint8
    assert whole.size == sum(written.size for written in images)


def test_an_image_is_a_read_only_view(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard.npy", [image(1), image(2)])
    read_HWC = PixelReader(Bucket(tmp_path)).image(row("shard.npy", 7 * 5 * 3))
    assert read_HWC.base is not None
    with pytest.raises(ValueError, match="read-only"):
        read_HWC[0, 0, 0] = 1


def test_a_turned_image_is_written_in_reading_order(tmp_path: Path) -> None:
    turned_HWC = image(1).transpose(1, 0, 2)
    write_shard(tmp_path / "shard.npy", [turned_HWC])
    read_HWC = PixelReader(Bucket(tmp_path)).image(row("shard.npy", 0, 5, 7))
    assert np.array_equal(read_HWC, turned_HWC)


def test_a_failed_writer_leaves_nothing(tmp_path: Path) -> None:
    def images() -> Iterator[shards.U8]:
        yield image(1)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_shard(tmp_path / "s.npy", images())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards, "fsync", full)
    with pytest.raises(StorageError, match=r"cannot write the shard .*the disk is full"):
        write_shard(tmp_path / "s.npy", [image(1)])


@pytest.mark.parametrize("keep", [0, 3, 60, 128, 150])
def test_a_cut_shard_is_one_line(tmp_path: Path, keep: int) -> None:
    write_shard(tmp_path / "s.npy", [image(1)])
    data = (tmp_path / "s.npy").read_bytes()
    (tmp_path / "s.npy").write_bytes(data[:keep])
    with pytest.raises(StorageError, match="damaged; run `doggo preprocess` again"):
        map_shard(tmp_path / "s.npy")


def test_a_missing_shard_or_a_row_beyond_it_is_one_line(tmp_path: Path) -> None:
    reader = PixelReader(Bucket(tmp_path))
    with pytest.raises(StorageError, match="cannot read the shard"):
        reader.image(row("missing.npy", 0))
    write_shard(tmp_path / "s.npy", [image(1)])
    with pytest.raises(StorageError, match="ends before photo"):
        reader.image(row("s.npy", 1))


def test_maps_are_reused_and_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MAX_OPEN_MAPS", 2)
    for number in range(4):
        write_shard(tmp_path / f"{number}.npy", [image(number)])
    reader = PixelReader(Bucket(tmp_path))
    first_HWC = reader.image(row("0.npy", 0))
    for number in (1, 2, 3, 0, 3):
        assert np.array_equal(reader.image(row(f"{number}.npy", 0)), image(number))
    assert np.array_equal(first_HWC, image(0)), "a view outlives the map's place in the cache"


def test_a_reader_works_in_threads_and_other_processes(tmp_path: Path) -> None:
    for number in range(3):
        write_shard(tmp_path / f"{number}.npy", [image(number)])
    reader = pickle.loads(pickle.dumps(PixelReader(Bucket(tmp_path))))  # noqa: S301 - our own
    wrong: list[int] = []

    def read(number: int) -> None:
        for turn in range(50):
            which = (number + turn) % 3
            if not np.array_equal(reader.image(row(f"{which}.npy", 0)), image(which)):
                wrong.append(which)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
