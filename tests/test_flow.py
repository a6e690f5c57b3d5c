"""The joints between the stages that no stage knows; whole ways are walked in e2e/."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.homes import drawn_folder, open_stores
from tests.tiny_bundle import COLOURS, make_bundle, picture, put_another_in_its_place

from doggo import flow, production
from doggo.core.errors import BundleError, InputError, NoModelError, StorageError, UsageError
from doggo.registry.run import register


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


def test_a_damaged_dataset_is_made_again(tmp_path: Path) -> None:
    stores = open_stores(tmp_path / "home")
    flow.take_in(stores, [drawn_folder(tmp_path / "photos")])
    made = flow.prepare(stores).manifest
    [file] = (tmp_path / "home" / "processed" / "manifests").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StorageError, match="is damaged"):
        flow.compare_datasets(stores, made.manifest_id)
    assert production.dataset(stores) is None  # what the gate then misses can be overruled
    assert flow.prepare(stores).manifest == made
    assert flow.compare_datasets(stores, made.manifest_id).new_id == made.manifest_id


def test_the_seed_of_the_first_split_stays(tmp_path: Path) -> None:
    stores = open_stores(tmp_path / "home")
    flow.take_in(stores, [drawn_folder(tmp_path / "photos")])
    made = flow.prepare(stores, seed=7).manifest
    assert made.seed == 7
    assert flow.prepare(stores).manifest == made
    assert flow.prepare(stores, seed=8).manifest == made


def test_a_dataset_is_as_large_as_its_model_needs_and_never_shrinks(tmp_path: Path) -> None:
    stores = open_stores(tmp_path / "home")
    assert flow.short_side_for(stores, "efficientnet_lite0") == 256
    assert flow.short_side_for(stores, "efficientnet_lite2") == 292
    flow.take_in(stores, [drawn_folder(tmp_path / "photos")])
    flow.prepare(stores, short_side_px=272)
    assert flow.short_side_for(stores, "efficientnet_lite0") == 272
    assert flow.short_side_for(stores, "efficientnet_lite2") == 292


def test_two_folders_of_one_name_have_two_reports(tmp_path: Path) -> None:
    stores = open_stores(tmp_path / "home")
    register(stores.bundles, make_bundle(tmp_path / "bundle"), metrics={})
    for place in ("a", "b"):
        folder = tmp_path / place / "set" / "pug"
        folder.mkdir(parents=True)
        (folder / "1.png").write_bytes(picture(COLOURS["pug"]))
    reports = [
        flow.evaluate_version(stores, version=1, photos=tmp_path / place / "set").report
        for place in ("a", "b", "a")
    ]
    assert reports[0] != reports[1]
    assert reports[0] == reports[2]
    assert all(report.is_file() for report in reports)


def test_without_a_model_there_is_nothing_to_evaluate(tmp_path: Path) -> None:
    with pytest.raises(NoModelError, match="doggo bootstrap"):
        flow.evaluate_version(open_stores(tmp_path))


@pytest.mark.parametrize("name", ["x.json", "x.JSON"])
def test_a_report_that_its_json_would_overwrite_is_refused_first(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"give --out .*x\.html"):
        flow.evaluate_version(open_stores(tmp_path), out=tmp_path / name)


def test_another_bundle_in_the_place_of_production_is_not_evaluated(tmp_path: Path) -> None:
    stores = open_stores(tmp_path / "home")
    version = stores.bundles.add(make_bundle(tmp_path / "bundle"), {})
    stores.bundles.move(version, why="test", actor="test")
    put_another_in_its_place(stores.bundles.folder(version))
    for asked in (None, version):
        with pytest.raises(BundleError, match="is not the one that was registered"):
            flow.evaluate_version(stores, version=asked, photos=tmp_path)
