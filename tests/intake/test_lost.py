"""Photos whose raw object is gone come back with their file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.homes import Home, counts, drawn_folder, jpeg, near, write_folder
from tests.object_stores import ObjectStore

from doggo.core.records import Photo
from doggo.intake import lost
from doggo.intake.lost import LostPhotos
from doggo.results import intake_text
from doggo.storage.buckets import Bucket, open_bucket


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


def test_a_lost_raw_object_comes_back_with_its_file(home: Home, tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=2, photos=6)
    (folder / "beagle" / "twice.jpg").write_bytes((folder / "beagle" / "000.jpg").read_bytes())
    home.take_in(folder)
    manifest, before = home.prepare(), home.state()
    gone = [key for key in home.raw.list() if key.startswith("beagle/")][:3]
    for key in gone:
        home.raw.delete(key)
    report = home.take_in(folder)
    assert counts(report) == {"added": 3, "already_present": 9, "exact_duplicates": 1}
    assert "it is written again" in intake_text(report)
    assert {item.path for item in report.added} < {
        str(path) for path in (folder / "beagle").iterdir()
    }
    assert home.state() == before
    assert home.prepare() == manifest
    assert counts(home.take_in(folder)) == {"already_present": 12, "exact_duplicates": 1}


def test_a_bucket_that_was_emptied_comes_back_with_the_files(home: Home, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": [jpeg(1), near(1), jpeg(2)]})
    home.take_in(folder)
    before = home.state()
    for key in list(home.raw.list()):
        home.raw.delete(key)
    assert counts(home.take_in(folder)) == {"added": 3}
    assert home.state() == before


def test_what_an_owner_overruled_is_not_asked_about(home: Home, tmp_path: Path) -> None:
    first = write_folder(tmp_path / "first", {"pug": [jpeg(1)]})
    home.take_in(first)
    home.take_in(write_folder(tmp_path / "right", {"beagle": [jpeg(1)]}), relabel=True)
    [key] = home.raw.list()
    home.raw.delete(key)
    assert counts(home.take_in(first)) == {"exact_duplicates": 1}
    assert counts(home.take_in(tmp_path / "right")) == {"added": 1}
    assert list(home.raw.list()) == [key]


@pytest.mark.parametrize("few", [0, 64], ids=["listed", "asked one by one"])
@pytest.mark.parametrize("store", ["gcs_store", "s3_store"])
def test_a_bucket_far_away_is_healed_too(
    home: Home,
    tmp_path: Path,
    store: str,
    few: int,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remote: ObjectStore = request.getfixturevalue(store)
    for name, value in remote.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(lost, "_FEW", few)
    raw = open_bucket(f"{remote.new_bucket()}/raw", cache=tmp_path / "cache")
    away = replace(home, raw=raw)
    folder = drawn_folder(tmp_path / "photos", breeds=1, photos=3)
    away.take_in(folder)
    key, *others = raw.list()
    raw.delete(key)
    write_folder(folder, {"pug": [jpeg(50), jpeg(50)]})
    report = away.take_in(folder)
    assert counts(report) == {"added": 2, "already_present": 2, "exact_duplicates": 1}
    assert len(list(raw.list())) == len(others) + 2
    assert key in raw.list()


class FarBucket(Bucket):
    """A local folder that costs as one far away, and counts what it was asked."""

    far = True

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.looks = self.lists = 0

    def exists(self, key: str) -> bool:
        self.looks += 1
        return super().exists(key)

    def list(self, prefix: str = "") -> Iterator[str]:
        self.lists += 1
        return super().list(prefix)


def photo(home: Home, raw_key: str) -> Photo:
    from doggo.core.records import Origin

    return next(photo for photo in home.store.used(Origin.OWNER) if photo.raw_key == raw_key)


def test_a_bucket_far_away_is_listed_once_at_most(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=3, photos=30))
    keys = list(home.raw.list())
    home.raw.delete(keys[0])
    photos = {key: photo(home, key) for key in keys}
    hashes = [photos[key].source_sha256 for key in keys]
    far = FarBucket(home.raw.root)
    asked = LostPhotos(home.store, far)
    assert asked.entries(hashes[:20]) == {(hashes[0], photos[keys[0]].breed)}
    assert (far.looks, far.lists) == (20, 0)
    assert len(asked.entries(hashes)) == 1
    assert len(asked.entries(hashes)) == 1
    assert (far.looks, far.lists) == (20, 1)
    assert asked.photo_ids == {photos[keys[0]].photo_id}
    asked.restored([photos[keys[0]]])  # the listing is older than that
    assert asked.entries(hashes) == set()
    assert asked.photo_ids == set()
