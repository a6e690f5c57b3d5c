"""Bytes are read wherever they lie, and never more than a photo may have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from doggo.core.errors import StorageError
from doggo.intake.found import BucketObject, hash_file, load
from doggo.storage.buckets import Bucket
from doggo.vision.photo import MAX_BYTES


class Endless:
    """A stored file that never ends."""

    size_bytes = 0

    def __init__(self) -> None:
        self.read_bytes = 0

    def blocks(self) -> Iterator[bytes]:
        while True:
            self.read_bytes += 1 << 20
            yield bytes(1 << 20)


def test_a_file_and_an_object_give_the_same(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path)
    bucket.write("pug/a b.jpg", b"some bytes")
    expected = (hashlib.sha256(b"some bytes").hexdigest(), b"some bytes")
    assert load(str(bucket.path("pug/a b.jpg"))) == expected
    assert load(BucketObject(bucket, "pug/a b.jpg", 10)) == expected


def test_an_object_that_is_gone_concerns_one_photo(tmp_path: Path) -> None:
    place = BucketObject(Bucket(tmp_path), "pug/gone.jpg", 1)
    with pytest.raises(FileNotFoundError):
        load(place)
    assert hash_file(place) == ""


def test_a_bucket_that_fails_concerns_the_whole_run(tmp_path: Path) -> None:
    (tmp_path / "pug").write_bytes(b"a file where a folder should be")
    with pytest.raises(StorageError, match="a file is where a folder should be"):
        load(BucketObject(Bucket(tmp_path), "pug/a.jpg", 1))


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    endless = Endless()
    assert load(endless) == ("", None)
    assert endless.read_bytes <= MAX_BYTES + (1 << 20)
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(MAX_BYTES + 1))
    assert load(str(large)) == (hashlib.sha256(bytes(MAX_BYTES + 1)).hexdigest(), None)


def test_an_object_that_says_it_is_huge_is_not_read(tmp_path: Path) -> None:
    assert load(BucketObject(Bucket(tmp_path), "pug/not-there.npy", 10**12)) == ("", None)


def test_an_array_may_be_larger_than_a_picture(tmp_path: Path) -> None:
    file = tmp_path / "photo.npy"
    file.write_bytes(b"\x93NUMPY" + bytes(MAX_BYTES))
    _, data = load(str(file))
    assert data is not None
    assert len(data) == MAX_BYTES + 6
