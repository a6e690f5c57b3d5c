"""Export end to end: a real candidate becomes a bundle that answers, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from doggo.core.errors import BundleError, InputError, StorageError
from doggo.core.records import Manifest, ManifestRow, Origin, Prediction, Split, Verdict
from doggo.export.calibrate import DEFAULT_TEMPERATURE, DEFAULT_THRESHOLDS
from doggo.export.formats import read_torchscript
from doggo.export.run import export
from doggo.nets.candidate import CandidateInfo, load_candidate, save_candidate
from doggo.nets.network import make_network
from doggo.storage.buckets import Bucket
from doggo.storage.shards import PixelReader, write_shard
from doggo.train.bootstrap import bootstrap_candidate
from doggo.vision.bundle import read_bundle, read_validation
from doggo.vision.pairs import REFERENCE, usable_pairs
from doggo.vision.photo import canonical, decoder_name
from doggo.vision.predictor import Predictor
from doggo.vision.view import View

SMALL = "test_efficientnet.r160_in1k"


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bootstrap_candidate("efficientnet_lite0", tmp_path_factory.mktemp("c") / "candidate")


@pytest.fixture(scope="module")
def bootstrap(candidate: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(candidate, tmp_path_factory.mktemp("b") / "bundle")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A candidate of timm's smallest network with random weights: for everything but answers."""
    labels = ("bull_mastiff", "dalmatian", "pug")
    network, weights_sha256 = make_network(SMALL, labels, pretrained=False)
    info = CandidateInfo(
        backbone=SMALL,
        labels=labels,
        view=View(size_px=160, resize_px=160),
        recipe="drawn",
        config={"model": SMALL},
        manifest_id=None,
        run_id=None,
        weights_sha256=weights_sha256,
        seed=0,
        git_revision="",
    )
    return save_candidate(tmp_path_factory.mktemp("s") / "candidate", info, network)


def dataset(folder: Path, paths: list[Path], breeds: list[str]) -> tuple[Manifest, Counting]:
    """Return these photos as the validation side of a dataset.

    Each is on the other two sides as well, under ids of their own and as the next breed: whoever
    takes a row of those finds other answers.
    """
    bucket = Bucket(folder)
    images = [canonical(path.read_bytes()) for path in paths]
    offsets = write_shard(bucket.path("one.npy"), images)
    validation = [
        ManifestRow(
            photo_id=f"{place:064x}",
            raw_uri=path.as_uri(),
            breed=breed,
            split=Split.VALIDATION,
            sha256=f"{place:064x}",
            group_id=f"{place:064x}",
            shard="one.npy",
            offset=offset,
            height_px=image.shape[0],
            width_px=image.shape[1],
            origin=Origin.OWNER,
            may_be_shown=True,
        )
        for place, (path, breed, offset, image) in enumerate(
            zip(paths, breeds, offsets, images, strict=True)
        )
    ]
    others = [
        replace(row, photo_id=f"{side}{row.photo_id[1:]}", split=split, breed=next_breed)
        for side, split in (("a", Split.TRAIN), ("b", Split.TEST))
        for row, next_breed in zip(validation, [*breeds[1:], breeds[0]], strict=True)
    ]
    manifest = Manifest(
        manifest_id="0123456789abcdef",
        short_side_px=256,
        decoder=decoder_name(),
        step="none",
        seed=42,
        rows=tuple(others[: len(validation)] + validation + others[len(validation) :]),
    )
    return manifest, Counting(bucket)


class Counting(PixelReader):
    """Remembers whose pictures were asked for."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket)
        self.asked: list[ManifestRow] = []

    def image(self, row: ManifestRow) -> np.ndarray:
        self.asked.append(row)
        return super().image(row)


def test_without_photos_the_defaults_stand_in_and_it_says_so(bootstrap: Path) -> None:
    bundle = read_bundle(bootstrap)
    assert (bundle.temperature, bundle.thresholds) == (DEFAULT_TEMPERATURE, DEFAULT_THRESHOLDS)
    assert "not fitted (no photos at all)" in bundle.calibration
    assert len(bundle.labels) == 120
    assert (bundle.recipe, bundle.manifest_id, bundle.trials) == ("bootstrap", None, ())
    assert bundle.parity.photos == 0
    assert bundle.parity.max_difference < 1e-4
    assert read_validation(bootstrap).answers == {}


def test_before_any_training_it_names_a_dog_and_refuses_other_things(
    bootstrap: Path, foolbox_photos: list[Path]
) -> None:
    predictor = Predictor.load(bootstrap)
    predictor.smoke_test()
    answers = predictor.predict_many([path.read_bytes() for path in foolbox_photos])
    found = {}
    for path, answer in zip(foolbox_photos, answers, strict=True):
        assert isinstance(answer, Prediction)
        found[path.stem] = answer
    mastiff, dalmatian = found.pop("imagenet_00_243"), found.pop("imagenet_16_251")
    assert (mastiff.verdict, mastiff.breeds[0].breed) == (Verdict.BREED, "bull_mastiff")
    assert dalmatian.verdict is not Verdict.BREED  # a breed outside the 120
    assert len(found) == 18
    assert {answer.verdict for answer in found.values()} == {Verdict.NOT_A_DOG}


def test_a_model_of_few_breeds_does_not_give_their_names_to_other_dogs(
    candidate: Path, tmp_path: Path, foolbox_photos: list[Path]
) -> None:
    """Its nearest breed gets nearly all of the probability: there is no other one to give it to."""
    [mastiff] = [file for file in foolbox_photos if file.stem.endswith("_243")]
    said = {}
    for labels in (("beagle", "pug", "samoyed"), ("beagle", "bull_mastiff", "samoyed")):
        info = replace(load_candidate(candidate)[0], labels=labels)
        network, _ = make_network("efficientnet_lite0", labels)
        few = save_candidate(tmp_path / labels[1] / "candidate", info, network)
        bundle = export(few, tmp_path / labels[1] / "bundle")
        said[labels[1]] = Predictor.load(bundle).predict(mastiff.read_bytes())
    assert said["pug"].breeds[0].probability > DEFAULT_THRESHOLDS.breed_probability
    assert said["pug"].dog_mass == pytest.approx(said["bull_mastiff"].dog_mass, abs=1e-3)
    assert said["pug"].verdict is Verdict.UNSURE
    assert said["bull_mastiff"].verdict is Verdict.BREED


def test_every_runtime_answers_the_real_network_alike(
    bootstrap: Path, foolbox_photos: list[Path]
) -> None:
    predictors = [Predictor.load(bootstrap, pair=pair) for pair in usable_pairs()]
    images_NHWC = np.stack([predictors[0].view(path.read_bytes()) for path in foolbox_photos])
    expected = predictors[0].infer(images_NHWC)
    for predictor in predictors[1:]:
        allowed = 0.1 if predictor.pair.precision == "bf16" else 1e-4
        found = predictor.infer(images_NHWC)
        differences = [one.difference(other) for one, other in zip(found, expected, strict=True)]
        assert max(differences) < allowed


def test_torchscript_takes_bytes_and_any_batch(bootstrap: Path) -> None:
    import torch

    network = read_torchscript(bootstrap / "model.ts")
    for n in (1, 3):
        outputs = network(torch.zeros((n, 224, 224, 3), dtype=torch.uint8))
        assert [output.shape for output in outputs] == [(n, 120), (n,), (n,), (n, 1280)]


def test_validation_photos_are_answered_compared_and_sealed(
    small: Path, foolbox_photos: list[Path], tmp_path: Path
) -> None:
    breeds = ["pug"] * len(foolbox_photos)
    breeds[0], breeds[1] = "bull_mastiff", "a_breed_of_our_own"
    manifest, pixels = dataset(tmp_path / "shards", foolbox_photos, breeds)
    steps: list[tuple[str, int, int]] = []
    folder = export(
        small,
        tmp_path / "bundle",
        manifest=manifest,
        pixels=pixels,
        progress=lambda *step: steps.append(step),
    )
    bundle, validation = read_bundle(folder), read_validation(folder)
    rows = manifest.of(Split.VALIDATION)
    known = {row.photo_id for row in rows if row.breed != "a_breed_of_our_own"}
    assert {row.photo_id for row in pixels.asked} == known  # no photo of another side
    assert set(validation.answers) == known
    assert bundle.parity.photos == len(known)
    assert bundle.parity.top1_agreement == 1
    assert {trial.pair for trial in bundle.trials} == set(usable_pairs())
    assert validation.pair == REFERENCE.name  # 19 photos prove no faster pair harmless
    assert "not fitted (19 validation photos of dataset 0123456789abcdef" in bundle.calibration
    assert steps[-1] == ("export", 19, 19)


def test_the_sealed_answers_are_those_of_the_predictor(
    small: Path, foolbox_photos: list[Path], tmp_path: Path
) -> None:
    manifest, pixels = dataset(tmp_path / "shards", foolbox_photos, ["pug"] * 20)
    folder = export(small, tmp_path / "bundle", manifest=manifest, pixels=pixels)
    predictor, sealed = Predictor.load(folder), read_validation(folder).answers
    for row, path in zip(manifest.of(Split.VALIDATION), foolbox_photos, strict=True):
        best = predictor.predict(path.read_bytes()).breeds[0]
        assert sealed[row.photo_id].breed == best.breed
        assert sealed[row.photo_id].probability == pytest.approx(best.probability, abs=2e-6)


def sealed(folder: Path) -> tuple[object, ...]:
    """Return everything that export measured, but for times and what follows from them."""
    bundle = read_bundle(folder)
    compared = [(trial.pair, trial.top1_difference) for trial in bundle.trials]
    return bundle.temperature, bundle.thresholds, compared, (folder / "validation.json").read_text()


def test_kept_features_answer_bitwise_as_the_whole_network(
    small: Path, foolbox_photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.export.measure.TIMED_PHOTOS", 3)
    monkeypatch.setattr("doggo.export.run.PARITY_PHOTOS", 3)
    # Every pair is tried, however fast it was just now beside the reference.
    monkeypatch.setattr("doggo.export.measure.photos_to_try", dict.fromkeys)
    breeds = ["pug"] * 10 + ["dalmatian"] * 10
    manifest, pixels = dataset(tmp_path / "shards", foolbox_photos, breeds)
    whole = export(small, tmp_path / "whole", manifest=manifest, pixels=pixels)
    for name in ("first", "again"):
        counting = Counting(Bucket(tmp_path / "shards"))
        cache = tmp_path / "cache"
        out = export(small, tmp_path / name, manifest=manifest, pixels=counting, cache=cache)
        assert sealed(out) == sealed(whole)
    assert len(counting.asked) == 3 + 3  # parity and the timed ones; the others were kept
    assert {path.name for path in tmp_path.iterdir()} >= {"first", "again", "whole"}
    assert not list(tmp_path.glob(".tmp-*"))


def test_kept_features_of_another_network_are_found_out(
    small: Path,
    foolbox_photos: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from doggo.nets.candidate import load_candidate
    from doggo.nets.network import features_sha256
    from doggo.vision.embeddings import EmbeddingCache, EmbeddingKey

    monkeypatch.setattr("doggo.export.measure.TIMED_PHOTOS", 3)
    manifest, pixels = dataset(tmp_path / "shards", foolbox_photos, ["pug"] * 20)
    info, network = load_candidate(small)
    ids = [row.photo_id for row in manifest.of(Split.VALIDATION)]
    wrong_ND = np.ones((len(ids), network.breed_head.in_features), np.float32)
    for pair in usable_pairs():
        key = EmbeddingKey(
            features_sha256=features_sha256(network.features), view=info.view, pair=pair,
            decoder=manifest.decoder, step=manifest.step,
        )  # fmt: skip
        EmbeddingCache(tmp_path / "cache").append(key, ids, wrong_ND)
    folder = export(
        small, tmp_path / "b", manifest=manifest, pixels=pixels, cache=tmp_path / "cache"
    )
    assert sealed(folder) == sealed(
        export(small, tmp_path / "whole", manifest=manifest, pixels=pixels)
    )
    assert "kept_features_differ" in caplog.text


def test_a_dataset_of_other_pixels_is_refused(
    small: Path, foolbox_photos: list[Path], tmp_path: Path
) -> None:
    manifest, pixels = dataset(tmp_path / "shards", foolbox_photos[:2], ["pug", "pug"])
    other = replace(manifest, short_side_px=300)
    with pytest.raises(InputError, match="doggo preprocess --short-side 256"):
        export(small, tmp_path / "bundle", manifest=other, pixels=pixels)


def test_a_folder_that_is_there_is_not_overwritten(small: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="already there"):
        export(small, tmp_path)


def test_a_damaged_candidate_leaves_nothing(small: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "candidate"
    shutil.copytree(small, copy)
    with (copy / "network.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError):
        export(copy, tmp_path / "out" / "bundle")
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_too_small_is_one_line_and_leaves_nothing(
    small: Path, small_disk: Callable[[str], Path]
) -> None:
    tiny_disk = small_disk("1m")  # less than three files of the weights
    with pytest.raises(StorageError, match="not enough disk"):
        export(small, tiny_disk / "bundle")
    assert list(tiny_disk.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_is_one_line_and_leaves_nothing(
    small: Path, small_disk: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.storage.disk.free_bytes", lambda path: 10**12)
    tiny_disk = small_disk("1m")
    with pytest.raises(StorageError, match="disk is full"):
        export(small, tiny_disk / "bundle")
    assert list(tiny_disk.iterdir()) == []
