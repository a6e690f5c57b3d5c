"""Features of an earlier evaluation are used again, checked, and not believed when they differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests import tiny_bundle

from doggo.evaluate import kept
from doggo.evaluate.evaluation import Evaluation
from doggo.evaluate.kept import KeptFeatures, kept_features
from doggo.evaluate.labelled import LabelledPhoto
from doggo.evaluate.report import write_report
from doggo.evaluate.run import evaluate
from doggo.vision.bundle import NETWORK_FILE
from doggo.vision.embeddings import EmbeddingCache
from doggo.vision.predictor import Predictor

CHECKED = 4
NOT_READABLE = {"empty", "cut", "gone"}


@pytest.fixture(autouse=True)
def fewer_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "CHECKED", CHECKED)


@pytest.fixture
def features(bundle: Path, predictor: Predictor, tmp_path: Path) -> KeptFeatures:
    found = kept_features(bundle / NETWORK_FILE, predictor, EmbeddingCache(tmp_path))
    assert found is not None
    return found


class Reading:
    """Counts how often each photo is read."""

    def __init__(self, photos: list[LabelledPhoto]) -> None:
        self.read: list[str] = []
        self.photos = [replace(photo, read=self._counted(photo)) for photo in photos]

    def _counted(self, photo: LabelledPhoto) -> Callable[[], bytes]:
        def read() -> bytes:
            self.read.append(photo.photo_id)
            return photo.read()

        return read


def figures(evaluation: Evaluation) -> dict[str, object]:
    """Return all of an evaluation but what tells when and how it was made."""
    values: dict[str, object] = json.loads(evaluation.to_json())
    return {k: v for k, v in values.items() if k not in {"created_at", "ms_per_photo", "recalled"}}


def test_a_second_evaluation_reads_few_photos_and_says_the_same(
    predictor: Predictor,
    photos: list[LabelledPhoto],
    evaluation: Evaluation,
    features: KeptFeatures,
    tmp_path: Path,
) -> None:
    options = {"data": "drawn pictures", "licences": ("drawn: yours",), "kept": features}
    first = evaluate(predictor, photos[:-5], **options)
    again = Reading(photos)
    second = evaluate(predictor, again.photos, **options)
    assert first.recalled == 0
    seen = {photo.photo_id for photo in photos[:-5]} - NOT_READABLE
    assert second.recalled == len(seen) - CHECKED
    assert len(again.read) == len(photos) - second.recalled
    assert {photo.photo_id for photo in photos[-5:]} <= set(again.read)
    assert figures(second) == figures(evaluation)
    assert Evaluation.from_json(second.to_json()) == second
    page = write_report(second, tmp_path / "r.html").read_text(encoding="utf-8")
    assert "answered from kept features" in page


def test_features_that_differ_are_not_believed(
    predictor: Predictor,
    photos: list[LabelledPhoto],
    evaluation: Evaluation,
    features: KeptFeatures,
    caplog: pytest.LogCaptureFixture,
) -> None:
    features.keep({photo.photo_id: np.array([9, 9, 240], np.float32) for photo in photos})
    again = Reading(photos)
    found = evaluate(
        predictor, again.photos, data="drawn pictures", licences=("drawn: yours",), kept=features
    )
    assert figures(found) == figures(evaluation)
    assert found.recalled == 0
    assert set(again.read) == {photo.photo_id for photo in photos}
    assert "kept_features_differ" in caplog.text


def test_each_model_draws_other_photos_to_check(
    predictor: Predictor, features: KeptFeatures
) -> None:
    ids = [f"{n:04x}" for n in range(200)]
    other = Predictor(
        predictor.bundle, replace(predictor.model, sha256="f" * 64), predictor._session
    )
    drawn = [features.to_check(ids), replace(features, predictor=other).to_check(ids)]
    assert drawn[0] == features.to_check(ids[::-1])
    assert drawn[0] != drawn[1]
    assert {len(found) for found in drawn} == {CHECKED}


def test_a_network_that_gives_no_features_has_none_kept(tmp_path: Path) -> None:
    folder = tiny_bundle.make_bundle(tmp_path / "bundle")
    network = onnx.load(folder / NETWORK_FILE)
    assert "features" not in {output.name for output in network.graph.output}
    assert (
        kept_features(folder / NETWORK_FILE, Predictor.load(folder), EmbeddingCache(tmp_path))
        is None
    )
