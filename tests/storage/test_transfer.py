"""Copying and moving between buckets: verified, never over something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from doggo.core.errors import InputError, StorageError
from doggo.storage.buckets import Bucket
from doggo.storage.transfer import Copied, copy_objects


@pytest.fixture
def buckets(tmp_path: Path) -> tuple[Bucket, Bucket]:
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    for key in ("a/1", "a/2", "b/1"):
        source.write(key, key.encode())
    return source, target


def test_a_copy_takes_what_is_missing_and_leaves_the_source(
    buckets: tuple[Bucket, Bucket],
) -> None:
    source, target = buckets
    assert copy_objects(source, target, prefix="a/") == Copied(copied=2, already_there=0, removed=0)
    assert copy_objects(source, target) == Copied(copied=1, already_there=2, removed=0)
    assert {key: target.read(key) for key in target.list()} == {
        key: source.read(key) for key in source.list()
    }


def test_a_move_removes_what_was_verified(buckets: tuple[Bucket, Bucket]) -> None:
    source, target = buckets
    told: list[tuple[str, int, int]] = []
    done = copy_objects(source, target, move=True, progress=lambda *said: told.append(said))
    assert done == Copied(copied=3, already_there=0, removed=3)
    assert list(source.list()) == []
    assert list(target.list()) == ["a/1", "a/2", "b/1"]
    assert told == [("copy", n, 3) for n in (1, 2, 3)]


def test_an_object_of_another_size_in_the_way_stops_it_before_it_begins(
    buckets: tuple[Bucket, Bucket],
) -> None:
    source, target = buckets
    target.write("b/1", b"something longer")
    with pytest.raises(InputError, match=r"1 objects are in .* with other contents, such as b/1"):
        copy_objects(source, target, move=True)
    assert list(source.list()) == ["a/1", "a/2", "b/1"]
    assert list(target.list()) == ["b/1"]


def test_an_object_of_the_same_size_with_other_bytes_is_found_and_nothing_of_it_lost(
    buckets: tuple[Bucket, Bucket],
) -> None:
    source, target = buckets
    target.write("b/1", b"xyz")
    with pytest.raises(StorageError, match=r"target/b/1 is there with other contents"):
        copy_objects(source, target, move=True)
    assert source.read("b/1") == b"b/1"
    assert target.read("b/1") == b"xyz"


def test_a_bucket_cannot_be_copied_onto_itself(buckets: tuple[Bucket, Bucket]) -> None:
    with pytest.raises(InputError, match="onto itself"):
        copy_objects(buckets[0], Bucket(buckets[0].root))
