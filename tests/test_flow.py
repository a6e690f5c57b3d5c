"""The joints between the stages that no stage knows; whole ways are walked in e2e/."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.homes import drawn_folder, open_stores
from tests.tiny_bundle import make_bundle, put_another_in_its_place

from doggo import flow
from doggo.core.errors import BundleError, InputError, NoModelError, UsageError


def test_a_folder_without_photos_stops_the_way_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    stores = open_stores(tmp_path / "home")
    with pytest.raises(InputError, match="photos"):
        flow.run(stores, [tmp_path / "photos"])
    assert list(stores.processed.list()) == []


def test_a_model_that_does_not_exist_is_refused_before_a_photo_is_taken_in(tmp_path: Path) -> None:
    stores = open_stores(tmp_path / "home")
    with pytest.raises(UsageError, match="no_such_model"):
        flow.run(stores, [drawn_folder(tmp_path / "photos")], model="no_such_model")
    assert not stores.photos.ledger.has_sources()


def test_without_a_model_there_is_nothing_to_evaluate(tmp_path: Path) -> None:
    with pytest.raises(NoModelError, match="doggo bootstrap"):
        flow.evaluate_version(open_stores(tmp_path))


def test_another_bundle_in_the_place_of_production_is_not_evaluated(tmp_path: Path) -> None:
    stores = open_stores(tmp_path / "home")
    version = stores.bundles.add(make_bundle(tmp_path / "bundle"), {})
    stores.bundles.move(version, why="test", actor="test")
    put_another_in_its_place(stores.bundles.folder(version))
    for asked in (None, version):
        with pytest.raises(BundleError, match="is not the one that was registered"):
            flow.evaluate_version(stores, version=asked, photos=tmp_path)
