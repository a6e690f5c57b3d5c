"""Training and experiments end to end, on drawn pictures and a small random network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.train.datasets import Contradicting, Drawn, manifest

from doggo.core.errors import InputError, StorageError, UsageError
from doggo.nets.backbones import build
from doggo.nets.candidate import load_candidate
from doggo.nets.imagenet import breed_classes
from doggo.nets.network import make_network
from doggo.storage.disk import HEADROOM_BYTES
from doggo.tracking.null import NullTracker
from doggo.train.bootstrap import bootstrap_candidate
from doggo.train.config import TrainConfig
from doggo.train.run import experiment, train

BREEDS = ("beagle", "pug", "stripes", "waves")
DATA = manifest(BREEDS, train=6, validation=3, test=2)
CPU = "onnxruntime-f32"


def _train(home: Path, pixels: Drawn, tracker: NullTracker, config: TrainConfig) -> Path:
    return train(
        config, DATA, pixels=pixels, cache=home / "cache", tracker=tracker,
        work=home / "work", runtime=CPU,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Drawn, NullTracker]:
    home, pixels, tracker = tmp_path_factory.mktemp("home"), Drawn(), NullTracker()
    _train(home, pixels, tracker, TrainConfig(max_epochs=3))
    return home, pixels, tracker


def test_the_candidate_says_where_it_comes_from(
    trained: tuple[Path, Drawn, NullTracker],
) -> None:
    info, network = load_candidate(trained[0] / "work")
    assert info.labels == BREEDS
    assert info.manifest_id == DATA.manifest_id
    assert info.recipe == "probe"
    assert info.config["lr"] == "0.0001"
    assert (info.view.size_px, info.view.resize_px, info.view.short_side_px) == (224, 256, 256)
    assert network.breed_head.out_features == 4


def test_only_the_breed_head_differs_from_the_published_network(
    trained: tuple[Path, Drawn, NullTracker],
) -> None:
    _, network = load_candidate(trained[0] / "work")
    fresh, _ = make_network("efficientnet_lite0", BREEDS)
    for key, tensor in network.state_dict().items():
        same = torch.equal(tensor, fresh.state_dict()[key])
        assert same == (not key.startswith("breed_head")), key


def test_the_tracker_is_told_everything(trained: tuple[Path, Drawn, NullTracker]) -> None:
    (run,) = trained[2].runs
    assert (run.experiment, run.status) == ("training", "FINISHED")
    assert run.params["manifest_id"] == DATA.manifest_id
    assert run.params["batch_size"] == "256"
    assert "git_revision" in run.tags
    assert sorted(run.files) == [
        "charts/confusion.png",
        "charts/curve.png",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    ]
    names = {metric.name for metric in run.metrics}
    assert {"val_macro_auroc", "best_val_top1", "seconds_embed", "seconds_train"} <= names
    steps = [metric.step for metric in run.metrics if metric.name == "val_top1"]
    assert steps == list(range(len(steps)))
    for name in ("curve.png", "confusion.png"):
        with Image.open(trained[0] / "work" / name) as picture:
            assert min(picture.size) > 300


def test_the_test_side_is_never_looked_at(trained: tuple[Path, Drawn, NullTracker]) -> None:
    seen = set(trained[1].asked)
    assert seen == {row.photo_id for row in DATA.rows if row.split != "test"}


def test_the_probe_fits_train_photos_and_chooses_by_validation_photos(tmp_path: Path) -> None:
    # More validation photos than others: fitted along with them, these would win.
    data, tracker = manifest(BREEDS, train=3, validation=6, test=2), NullTracker()
    pixels = Contradicting(BREEDS)
    done = experiment(
        TrainConfig(lr=1e-2, max_epochs=8, patience=8), data, pixels=pixels,
        cache=tmp_path / "cache", tracker=tracker, runtime=CPU,
    )  # fmt: skip
    told = {metric.name: metric.value for metric in tracker.runs[0].metrics}  # the last of each
    assert (done.train_photos, done.validation_photos) == (3 * 4, 6 * 4)
    assert (told["train_top1"], told["val_top1"]) == (1, 0)
    assert told["best_epoch"] == 0  # no step helped on validation
    assert set(pixels.asked) == {row.photo_id for row in data.rows if row.split != "test"}


def test_a_second_run_computes_no_embedding_and_gives_the_same_bytes(
    trained: tuple[Path, Drawn, NullTracker],
) -> None:
    home, tracker = trained[0], NullTracker()
    before = (home / "work" / "network.safetensors").read_bytes()
    pixels = Drawn()
    _train(home, pixels, tracker, TrainConfig(max_epochs=3))
    assert pixels.asked == []
    assert (home / "work" / "network.safetensors").read_bytes() == before


def test_an_experiment_samples_and_leaves_nothing_but_its_run(
    trained: tuple[Path, Drawn, NullTracker],
) -> None:
    home, tracker = trained[0], NullTracker()
    result = experiment(
        TrainConfig(n_labels=2, n_samples=4, max_epochs=1), DATA, pixels=Drawn(),
        cache=home / "cache", tracker=tracker, runtime=CPU,
    )  # fmt: skip
    assert len(result.labels) == 2
    assert (result.train_photos, result.validation_photos) == (6, 2)
    assert 0 <= result.val_top1 <= 1
    assert tracker.runs[0].experiment == "experiment"
    assert {path.name for path in (home / "cache").iterdir()} == {"embeddings", "graphs"}


def test_a_failed_run_is_marked_and_leaves_no_candidate(tmp_path: Path) -> None:
    class Broken(Drawn):
        def image(self, row: object) -> object:  # type: ignore[override]
            raise OSError("the disk went away")

    tracker = NullTracker()
    with pytest.raises(OSError, match="went away"):
        _train(tmp_path, Broken(), tracker, TrainConfig())
    assert tracker.runs[0].status == "FAILED"
    assert not (tmp_path / "work" / "candidate.json").exists()


def test_a_run_that_is_interrupted_keeps_its_last_whole_epoch(tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("train", 2):
            raise KeyboardInterrupt

    tracker = NullTracker()
    with pytest.raises(KeyboardInterrupt):
        train(
            TrainConfig(max_epochs=3), DATA, pixels=Drawn(), cache=tmp_path / "cache",
            tracker=tracker, work=tmp_path / "work", runtime=CPU, progress=interrupt,
        )  # fmt: skip
    assert tracker.runs[0].status == "KILLED"
    assert "checkpoints/last.ckpt" in tracker.runs[0].files


def test_a_disk_without_room_for_the_result_is_refused_before_the_photos_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.storage.disk.free_bytes", lambda path: HEADROOM_BYTES)
    pixels = Drawn()
    with pytest.raises(StorageError, match="needed for the trained network"):
        _train(tmp_path, pixels, NullTracker(), TrainConfig(max_epochs=1))
    assert pixels.asked == []


@pytest.mark.parametrize("option", [{"n_labels": 2}, {"n_samples": 5}])
def test_train_refuses_to_sample(option: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="doggo experiment"):
        _train(tmp_path, Drawn(), NullTracker(), TrainConfig(**option))  # type: ignore[arg-type]


def test_one_breed_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    tracker = NullTracker()
    with pytest.raises(InputError, match="one breed"):
        train(
            TrainConfig(), manifest("a", train=3, validation=2), pixels=Drawn(),
            cache=tmp_path / "cache", tracker=tracker, work=tmp_path / "work",
        )  # fmt: skip
    assert not tracker.runs
    assert not list(tmp_path.iterdir())


def test_a_backbone_that_needs_larger_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--short-side 292"):
        _train(tmp_path, Drawn(), NullTracker(), TrainConfig(model="efficientnet_lite2"))


def test_a_bootstrap_is_imagenets_head_and_was_not_trained(tmp_path: Path) -> None:
    info, network = load_candidate(bootstrap_candidate("efficientnet_lite0", tmp_path / "b"))
    assert (info.recipe, info.manifest_id, info.run_id) == ("bootstrap", None, None)
    assert info.labels == tuple(breed_classes())
    model, _ = build("efficientnet_lite0")
    head = model.get_classifier()
    assert torch.equal(network.breed_head.weight[46], head.weight[breed_classes()[info.labels[46]]])


def test_a_bootstrap_of_a_larger_backbone_asks_for_larger_photos(tmp_path: Path) -> None:
    info, _ = load_candidate(bootstrap_candidate("efficientnet_lite1", tmp_path))
    assert info.view.short_side_px == 272
