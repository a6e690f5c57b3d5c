"""Named bytes under a URL: whole or not there."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from doggo.core.errors import StorageError, UsageError
from doggo.storage.buckets import Bucket, open_bucket


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return open_bucket((tmp_path / "a bucket").as_uri())


def test_what_is_written_is_read(bucket: Bucket) -> None:
    for durable in (True, False):
        bucket.write("a/b.bin", b"one", durable=durable)
        bucket.write("a/b.bin", b"two", durable=durable)
        assert bucket.read("a/b.bin") == b"two"
    assert list(bucket.list()) == ["a/b.bin"]
    assert bucket.uri("a/b.bin").startswith("file:///")


def test_listing_is_sorted_and_by_prefix(bucket: Bucket) -> None:
    for key in ("b/2", "a/1", "b/1", "bb"):
        bucket.write(key, b"")
    assert list(bucket.list()) == ["a/1", "b/1", "b/2", "bb"]
    assert list(bucket.list("b/")) == ["b/1", "b/2"]


def test_a_missing_object_is_one_line(bucket: Bucket) -> None:
    assert not bucket.exists("nothing")
    bucket.delete("nothing")
    with pytest.raises(StorageError, match=r"cannot read nothing in .*: it is not there"):
        bucket.read("nothing")


def test_create_writes_once_however_many_try(bucket: Bucket) -> None:
    wins: list[int] = []

    def race(number: int) -> None:
        if bucket.create("key", str(number).encode()):
            wins.append(number)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bucket.read("key") == str(wins[0]).encode()
    assert len(wins) == 1
    assert list(bucket.list()) == ["key"]


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "a/../../b"])
def test_a_key_cannot_leave_the_bucket(bucket: Bucket, key: str) -> None:
    with pytest.raises(StorageError, match="bad object key"):
        bucket.write(key, b"")


def test_adopting_moves_a_file_also_over_an_equal_one(bucket: Bucket, tmp_path: Path) -> None:
    for _ in range(2):
        file = tmp_path / "file"
        file.write_bytes(b"data")
        bucket.adopt("new/folder/key", file)
        assert bucket.read("new/folder/key") == b"data"
        assert not file.exists()
    with pytest.raises(StorageError, match="not there"):
        bucket.adopt("new/other", tmp_path / "file")


def test_adopting_a_copy_leaves_the_file_and_keeps_what_is_there(
    bucket: Bucket, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"data")
    bucket.adopt_copies({"a/key": file, "b/key": file})
    bucket.adopt_copies({"a/key": file})
    assert file.read_bytes() == bucket.read("a/key") == bucket.read("b/key") == b"data"


def test_files_of_another_disk_are_copied(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")  # noqa: S108 - a second file system
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here: /dev/shm is missing")
    bucket = Bucket(tmp_path)
    file = elsewhere / f"doggo-test-{os.getpid()}"
    try:
        file.write_bytes(b"data")
        bucket.adopt_copies({"copy": file})
        bucket.adopt("moved", file)
        assert bucket.read("copy") == bucket.read("moved") == b"data"
        assert not file.exists()
        assert list(bucket.list()) == ["copy", "moved"]
    finally:
        file.unlink(missing_ok=True)


def test_a_write_that_fails_leaves_the_old_object(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.write("key", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in (bucket.write, lambda key, data: bucket.create("other", data)):
        with pytest.raises(StorageError, match="the disk is full; free some space"):
            write("key", b"new")
    assert bucket.read("key") == b"old"
    assert [path.name for path in bucket.root.iterdir()] == ["key"]


def test_a_flush_of_the_disk_is_no_error(bucket: Bucket) -> None:
    bucket.write("key", b"data", durable=False)
    bucket.sync()


def test_another_scheme_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"ftp://somewhere.*file://, gs:// or s3://"):
        open_bucket("ftp://somewhere/bucket")


@pytest.mark.parametrize("url", ["file://data/raw", "file://~/doggo-data/raw"])
def test_a_folder_of_another_host_is_a_usage_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"names the host .*file:///srv/raw"):
        open_bucket(url)
    here = open_bucket(f"file://localhost{tmp_path}/bucket")
    assert here.root == tmp_path / "bucket"


def test_a_file_in_the_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot open bucket"):
        Bucket(tmp_path / "file" / "bucket")
