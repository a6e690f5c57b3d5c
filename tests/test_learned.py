"""Photos of an evaluation that the model learned from are known again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.homes import Home, drawn_folder, jpeg
from tests.pictures import encode, exif, picture
from tests.tiny_bundle import make_bundle

from doggo.core.records import Manifest, Split
from doggo.evaluate.evaluation import Learned
from doggo.evaluate.labelled import LabelledPhoto
from doggo.learned import learned_from
from doggo.scoring import labelled_folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos of three breeds, all with metadata that intake removes."""
    drawn = drawn_folder(tmp_path / "drawn", photos=1)
    for place, breed in enumerate(drawn.iterdir()):
        for n in range(12):
            data = encode(picture(160, 128, 100 * place + n), "JPEG", quality=90, exif=exif())
            (breed / f"{n:03}.jpg").write_bytes(data)
    return drawn


def learned(home: Home, bundle: Path, photos: Sequence[LabelledPhoto]) -> Learned | None:
    return learned_from(bundle, photos, ledger=home.store.ledger, processed=home.processed)


def sides(manifest: Manifest) -> Learned:
    count = Counter(row.split for row in manifest.rows)
    return Learned(trained=count[Split.TRAIN], validated=count[Split.VALIDATION])


def test_files_are_known_as_they_were_handed_in_and_as_they_are_kept(
    home: Home, folder: Path, tmp_path: Path
) -> None:
    home.take_in(folder)
    manifest = home.prepare()
    bundle = make_bundle(tmp_path / "bundle", manifest_id=manifest.manifest_id)
    for place in (folder, home.root / "raw"):
        photos, _ = labelled_folder(place)
        assert learned(home, bundle, photos) == sides(manifest) != Learned()


def test_other_files_are_new_and_a_broken_one_stops_nothing(
    home: Home, folder: Path, tmp_path: Path
) -> None:
    home.take_in(folder)
    bundle = make_bundle(tmp_path / "bundle", manifest_id=home.prepare().manifest_id)
    (tmp_path / "new" / "pug").mkdir(parents=True)
    (tmp_path / "new" / "pug" / "a.jpg").write_bytes(jpeg(9999))
    (tmp_path / "new" / "pug" / "large.jpg").write_bytes(bytes(20 * 2**20 + 1))
    photos, _ = labelled_folder(tmp_path / "new")
    assert learned(home, bundle, photos) == Learned()


def test_a_bootstrap_was_calibrated_on_what_its_bundle_says(
    home: Home, folder: Path, tmp_path: Path
) -> None:
    home.take_in(folder)
    answers = {row.photo_id: row.breed for row in home.prepare().of(Split.VALIDATION)}
    bundle = make_bundle(tmp_path / "bundle", validation=answers)
    photos, _ = labelled_folder(folder)
    assert learned(home, bundle, photos) == Learned(validated=len(answers))


def test_nobody_can_tell_without_the_dataset(home: Home, folder: Path, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", manifest_id="0" * 16)
    assert learned(home, bundle, labelled_folder(folder)[0]) is None
