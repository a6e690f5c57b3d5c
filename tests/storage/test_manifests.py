"""Dataset manifests: what their id depends on, and reading what was written."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from doggo.core.errors import InputError, StorageError, UsageError
from doggo.core.records import Manifest, ManifestRow, Origin, Split
from doggo.storage.buckets import Bucket
from doggo.storage.manifests import latest_id, load, manifest_of, save, saved_ids
from doggo.storage.pixels import PixelKey

KEY = PixelKey(256, "decoder-1", "none")


def rows(count: int = 5) -> tuple[ManifestRow, ...]:
    return tuple(
        ManifestRow(
            photo_id=f"{number:064x}",
            raw_uri=f"file:///raw/ünïcode breed/{number}.jpg",
            breed=("pug", "beagle")[number % 2],
            split=tuple(Split)[number % 3],
            sha256=f"{number:064x}",
            group_id=f"{number:064x}",
            shard="shards/1.npy",
            offset=number * 2**40,
            height_px=256,
            width_px=300 + number,
            origin=tuple(Origin)[number % 2],
            may_be_shown=number % 2 == 0,
        )
        for number in range(count)
    )


def manifest(count: int = 5) -> Manifest:
    return manifest_of(rows(count), KEY, 42)


@pytest.mark.parametrize("count", [1, 5, 20])
def test_what_is_saved_is_loaded(tmp_path: Path, count: int) -> None:
    bucket = Bucket(tmp_path)
    save(bucket, manifest(count))
    assert load(bucket) == load(bucket, manifest(count).manifest_id) == manifest(count)


def test_any_parquet_reader_can_read_it(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    bucket = Bucket(tmp_path)
    save(bucket, manifest())
    [key] = [key for key in bucket.list() if key.endswith(".parquet")]
    table = pq.read_table(bucket.path(key))
    table.validate(full=True)
    assert table.column("breed").to_pylist() == [row.breed for row in rows()]
    assert table.column("may_be_shown").to_pylist() == [row.may_be_shown for row in rows()]


def test_the_latest_is_the_one_saved_last_and_old_ones_stay(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path)
    for count in (5, 6, 5):
        save(bucket, manifest(count))
        assert latest_id(bucket) == manifest(count).manifest_id
    assert saved_ids(bucket) == sorted([manifest(5).manifest_id, manifest(6).manifest_id])


def test_the_same_data_elsewhere_has_the_same_id() -> None:
    moved = tuple(replace(row, shard="shards/2.npy", raw_uri="gs://b/1") for row in rows())
    assert manifest_of(moved, KEY, 42).manifest_id == manifest().manifest_id


@pytest.mark.parametrize(
    "other",
    [
        manifest_of(rows()[1:], KEY, 42),
        manifest_of((replace(rows()[0], breed="boxer"), *rows()[1:]), KEY, 42),
        manifest_of((replace(rows()[0], split=Split.TEST), *rows()[1:]), KEY, 42),
        manifest_of((replace(rows()[0], may_be_shown=False), *rows()[1:]), KEY, 42),
        manifest_of(rows(), replace(KEY, short_side_px=300), 42),
        manifest_of(rows(), replace(KEY, decoder="decoder-2"), 42),
        manifest_of(rows(), replace(KEY, step="mine"), 42),
        manifest_of(rows(), KEY, 43),
    ],
)
def test_other_data_has_another_id(other: Manifest) -> None:
    assert other.manifest_id != manifest().manifest_id


def test_a_shard_made_again_is_written_into_the_same_manifest(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path)
    save(bucket, manifest())
    moved = manifest_of(tuple(replace(row, shard="shards/2.npy") for row in rows()), KEY, 42)
    save(bucket, moved)
    assert load(bucket) == moved


def test_none_yet_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dataset yet: run `doggo preprocess`"):
        load(Bucket(tmp_path))
    with pytest.raises(InputError, match="no dataset 0123"):
        load(Bucket(tmp_path), "0123")


def test_a_damaged_or_altered_file_is_one_line(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path)
    save(bucket, manifest(6))
    altered = bucket.read(f"manifests/{manifest(6).manifest_id}.parquet")
    save(bucket, manifest(5))
    key = f"manifests/{manifest(5).manifest_id}.parquet"
    bucket.write(key, altered)
    with pytest.raises(StorageError, match="was altered"):
        load(bucket)
    bucket.write(key, altered[:100])
    with pytest.raises(StorageError, match="is damaged"):
        load(bucket)


@pytest.mark.parametrize("lost", [True, False])
def test_a_lost_or_damaged_newest_one_is_said_and_saved_again(tmp_path: Path, lost: bool) -> None:
    bucket = Bucket(tmp_path)
    save(bucket, manifest())
    key = f"manifests/{manifest().manifest_id}.parquet"
    if lost:
        bucket.delete(key)
    else:
        bucket.write(key, bucket.read(key)[:100])
    with pytest.raises(StorageError, match="`doggo preprocess` makes"):
        load(bucket)
    save(bucket, manifest())
    assert load(bucket) == manifest()


def test_without_pyarrow_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UsageError, match=r"doggo\[train\]"):
        load(Bucket(tmp_path), "0123")


def test_a_raw_key_does_not_depend_on_where_the_bucket_is(tmp_path: Path) -> None:
    uri = Bucket(tmp_path / "before").uri("shiba inu%/0a.jpg")
    for moved in (uri, uri.replace(tmp_path.as_uri(), "gs://elsewhere")):
        row = replace(rows()[0], raw_uri=moved)
        assert row.raw_key == "shiba inu%/0a.jpg"
