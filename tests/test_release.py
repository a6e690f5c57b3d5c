"""When nothing needs to be made, and what a version is registered with."""

from __future__ import annotations

from pathlib import Path

from tests.registry.datasets import colour_dataset
from tests.tiny_bundle import make_bundle

from doggo.core.records import Split
from doggo.registry.run import register
from doggo.release import made_before, validation_metrics
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore

WORDS = {"lr": "0.1"}


def test_the_newest_version_of_the_same_dataset_and_options_was_made_before(tmp_path: Path) -> None:
    store = BundleStore(Bucket(tmp_path / "bundles"))
    made = [("a" * 16, WORDS, 0), ("a" * 16, WORDS, 1), ("a" * 16, {"lr": "0.2"}, 0)]
    for place, (manifest_id, config, turn) in enumerate(made):
        folder = tmp_path / str(place)
        make_bundle(folder, turn=turn, manifest_id=manifest_id, config=config)
        register(store, folder, metrics={})
    assert made_before(store, "a" * 16, WORDS) == 2
    assert made_before(store, "b" * 16, WORDS) is None
    (store.folder(2) / "model.onnx").write_bytes(b"damaged")
    assert made_before(store, "a" * 16, WORDS) == 1


def test_validation_metrics_are_of_the_photos_that_export_answered(tmp_path: Path) -> None:
    manifest = colour_dataset(Bucket(tmp_path / "processed")).manifest
    right, wrong, *_ = manifest.of(Split.VALIDATION)
    other = next(row.breed for row in manifest.rows if row.breed != wrong.breed)
    answered = {right.photo_id: right.breed, wrong.photo_id: other}
    bundle = make_bundle(tmp_path / "bundle", validation=answered)
    assert validation_metrics(bundle, manifest) == {"validation_top1": 0.5, "validation_photos": 2}
    assert validation_metrics(bundle, None) == {}
