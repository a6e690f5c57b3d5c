"""The readable difference of two datasets."""

from __future__ import annotations

from dataclasses import replace

from doggo.core.records import Manifest, ManifestRow, Origin, Split
from doggo.preprocess.diff import diff
from doggo.storage.manifests import manifest_of
from doggo.storage.pixels import PixelKey

KEY = PixelKey(256, "decoder-1", "none")


def row(number: int, breed: str, split: Split = Split.TRAIN) -> ManifestRow:
    return ManifestRow(
        photo_id=f"{number:064x}",
        raw_uri=f"file:///raw/{number}.jpg",
        breed=breed,
        split=split,
        sha256=f"{number:064x}",
        group_id=f"{number:064x}",
        shard="shards/1.npy",
        offset=0,
        height_px=256,
        width_px=256,
        origin=Origin.OWNER,
        may_be_shown=True,
    )


def manifest(*rows: ManifestRow, key: PixelKey = KEY) -> Manifest:
    return manifest_of(rows, key, 42)


def test_every_kind_of_change_is_told_by_breed() -> None:
    old = manifest(row(1, "pug"), row(2, "pug", Split.TEST), row(3, "beagle"), row(4, "boxer"))
    new = manifest(row(1, "pug"), row(4, "pug"), row(5, "whippet", Split.VALIDATION))
    found = diff(old, new, {f"{2:064x}": "conflict"})
    assert str(found) == (
        f"dataset {old.manifest_id} → {new.manifest_id}: 4 → 3 photos\n"
        "  train             3 →      2\n"
        "  validation        0 →      1\n"
        "  test              1 →      0\n"
        "  beagle: 1 → 0 (1 removed)\n"
        "  boxer: 1 → 0 (1 removed)\n"
        "  pug: 2 → 2 (1 relabelled, 1 set aside (conflict))\n"
        "  whippet: 0 → 1 (1 added)"
    )
    assert found.sides == {Split.TRAIN: (3, 2), Split.VALIDATION: (0, 1), Split.TEST: (1, 0)}


def test_the_same_photos_are_called_so() -> None:
    same = manifest(row(1, "pug"))
    assert str(diff(same, same)).endswith("the same photos")


def test_a_changed_setting_is_told() -> None:
    larger = replace(KEY, short_side_px=300)
    text = str(diff(manifest(row(1, "pug")), manifest(row(1, "pug"), key=larger)))
    assert "short_side_px: 256 → 300" in text
    assert "the same photos" not in text
