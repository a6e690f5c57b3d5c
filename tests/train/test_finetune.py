"""Fine-tuning end to end with a tiny network: it learns, repeats itself, and survives a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.homes import Home, drawn_folder
from tests.train.datasets import Contradicting, manifest
from tests.train.pixels import BREEDS, CPU, DATA, NAME, Trial, options, tiny_weights

from doggo.core.errors import InputError
from doggo.core.metrics import macro_auroc, top_k
from doggo.core.records import Split
from doggo.export.run import export
from doggo.nets.candidate import load_candidate
from doggo.nets.network import features_sha256, make_network
from doggo.storage.shards import PixelReader
from doggo.tracking.null import NullTracker
from doggo.train.checkpoints import checkpoint_folder
from doggo.train.run import experiment, train
from doggo.vision.bundle import read_bundle
from doggo.vision.pairs import REFERENCE
from doggo.vision.predictor import Predictor

STEADY = options(optimizer="adamw")
LEARNS = options(optimizer="adamw", lr=3e-3, max_epochs=6, trf_prb=0.0)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Two runs in one home: the second finds the first one's result."""
    trial = Trial(tmp_path_factory.mktemp("finetune"))
    trial.run(LEARNS)
    return trial


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """A run of three epochs that nothing disturbed."""
    trial = Trial(tmp_path_factory.mktemp("whole"))
    trial.run(STEADY)
    return trial


@pytest.fixture(scope="module")
def candidate(trial: Trial) -> Path:
    """What `train` makes of the same training: it is not computed again."""
    home = trial.home
    return train(
        LEARNS, DATA, pixels=trial.pixels, cache=home / "cache", tracker=NullTracker(),
        work=home / "work", weights=home / "weights", runtime="onnxruntime-f32",
    )  # fmt: skip


def test_it_learns_what_a_random_network_cannot_know(trial: Trial) -> None:
    curve = trial.curve()
    assert curve["train_loss"][-1] < 0.8 * curve["train_loss"][0]
    assert max(curve["val_macro_auroc"]) > curve["val_macro_auroc"][0]


def test_the_run_is_told_speeds_and_pictures(trial: Trial) -> None:
    run = trial.tracker.runs[0]
    assert sorted(run.files) == ["charts/batch.png", "charts/confusion.png", "charts/curve.png"]
    told = {metric.name: metric.value for metric in run.metrics}
    assert told["photos_per_s"] > 0
    assert told["bare_photos_per_s"] > 0
    assert {"seconds_prepare", "seconds_measure", "seconds_train"} <= set(told)
    assert run.params["recipe"] == "finetune"
    assert run.params["precision"] in {"32-true", "bf16-mixed", "16-mixed"}


def test_the_test_side_is_never_looked_at(trial: Trial) -> None:
    assert set(trial.pixels.asked) == {r.photo_id for r in DATA.rows if r.split != Split.TEST}


def test_train_photos_are_fitted_and_validation_photos_choose(tmp_path: Path) -> None:
    data, tracker = manifest(BREEDS, train=4, validation=8), NullTracker()
    done = experiment(
        replace(LEARNS, max_epochs=4), data, pixels=Contradicting(BREEDS), cache=tmp_path / "cache",
        tracker=tracker, runtime=CPU, weights=tiny_weights(tmp_path / "weights"),
    )  # fmt: skip
    told = {metric.name: metric.value for metric in tracker.runs[0].metrics}
    assert (done.train_photos, done.validation_photos) == (4 * 4, 8 * 4)
    assert told["train_loss"] < 0.8 * told["best_train_loss"]
    assert told["val_loss"] > 2 * told["best_val_loss"]
    assert told["best_epoch"] == 0  # no step helped on validation


def test_the_figures_are_those_of_the_whole_network_through_the_view(
    trial: Trial, candidate: Path
) -> None:
    info, network = load_candidate(candidate)
    rows = DATA.of(Split.VALIDATION)
    images = np.stack([info.view.crop(trial.pixels.image(row)) for row in rows])
    labels_N = np.array([BREEDS.index(row.breed) for row in rows])
    with torch.inference_mode():
        probabilities = network(torch.from_numpy(images))[0].softmax(1).numpy()
    told = {metric.name: metric.value for metric in trial.tracker.runs[0].metrics}
    assert told["best_val_macro_auroc"] == pytest.approx(macro_auroc(probabilities, labels_N))
    assert told["best_val_top1"] == pytest.approx(top_k(probabilities, labels_N))


def test_the_whole_body_is_trained_and_imagenets_head_and_norms_are_not(candidate: Path) -> None:
    info, network = load_candidate(candidate)
    fresh, sha256 = make_network(NAME, BREEDS, weights=candidate.parent / "weights")
    assert (info.recipe, info.weights_sha256) == ("finetune", sha256)
    assert info.view.size_px == 64
    assert features_sha256(network.features) != features_sha256(fresh.features)
    before = fresh.state_dict()
    for key, tensor in network.state_dict().items():
        kept = (
            key.startswith("imagenet_head") or "running_" in key or key.endswith((".mean", ".std"))
        )
        if kept:
            assert torch.equal(tensor, before[key]), key
    moved = [k for k, v in network.state_dict().items() if not torch.equal(v, before[k])]
    assert any("conv_stem" in key for key in moved)
    assert any("bn" in key and key.endswith("weight") for key in moved)


def test_the_same_seed_gives_the_same_bytes_and_another_other_ones(
    whole: Trial, tmp_path: Path
) -> None:
    again, other = Trial(tmp_path / "again"), Trial(tmp_path / "other")
    again.run(STEADY)
    other.run(replace(STEADY, seed=7))
    assert again.curve() == whole.curve()
    for key, tensor in whole.weights().items():
        assert torch.equal(tensor, again.weights()[key]), key
    assert other.curve() != whole.curve()


def test_the_last_blocks_alone_are_trained_on_kept_activations(tmp_path: Path) -> None:
    config = options(layers="last", optimizer="adamw", lr=3e-2, max_epochs=6, patience=6)
    trial = Trial(tmp_path)
    assert trial.run(config).best_epoch > 0
    assert list((tmp_path / "cache" / "activations").glob("*/*.npy"))
    fresh, _ = make_network(NAME, BREEDS, weights=tmp_path / "weights")
    stem = fresh.state_dict()["features.body.conv_stem.weight"]
    candidate = train(
        config, DATA, pixels=trial.pixels, cache=tmp_path / "cache", tracker=trial.tracker,
        work=tmp_path / "work", weights=tmp_path / "weights", runtime="onnxruntime-f32",
    )  # fmt: skip
    network = load_candidate(candidate)[1]
    assert torch.equal(network.state_dict()["features.body.conv_stem.weight"], stem)
    assert features_sha256(network.features) != features_sha256(fresh.features)


def test_a_trained_body_is_exported_and_answers_as_it_did_in_training(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "home")
    home.take_in(drawn_folder(tmp_path / "photos", breeds=3, photos=12))
    prepared, pixels = home.prepare(), PixelReader(home.processed)
    weights = tiny_weights(tmp_path / "weights")
    folder = train(
        replace(LEARNS, max_epochs=2), prepared, pixels=pixels, cache=tmp_path / "cache",
        tracker=NullTracker(), work=tmp_path / "work", weights=weights, runtime="onnxruntime-f32",
    )  # fmt: skip
    bundle = export(
        folder, tmp_path / "bundle", manifest=prepared, pixels=pixels, cache=tmp_path / "cache"
    )
    info, network = load_candidate(folder)
    predictor = Predictor.load(bundle, pair=REFERENCE)
    sealed = read_bundle(bundle)
    assert (sealed.recipe, sealed.config["recipe"]) == ("finetune", "finetune")
    assert sealed.view == info.view
    for row in prepared.of(Split.TEST):
        square = info.view.crop(pixels.image(row))
        with torch.inference_mode():
            logits = network(torch.from_numpy(square)[None])[0] / sealed.temperature
        best = float(logits.softmax(1).max())
        data = home.raw.read(row.raw_uri.removeprefix(home.raw.url).lstrip("/"))
        assert predictor.predict(data).breeds[0].probability == pytest.approx(best, abs=1e-3)


def test_a_change_for_the_worse_keeps_the_start(tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    result = trial.run(options(lr=5.0, max_epochs=1))
    if result.best_epoch == 0:
        fresh, _ = make_network(NAME, BREEDS, weights=tmp_path / "weights")
        stem = trial.weights()["features.body.conv_stem.weight"]
        assert torch.equal(stem, fresh.state_dict()["features.body.conv_stem.weight"])
    assert result.val_top1 >= result.start_top1


def test_without_epochs_it_keeps_the_start(tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    result = trial.run(options(max_epochs=0))
    assert (result.epochs, result.best_epoch) == (0, 0)
    assert len(trial.curve()["val_loss"]) == 1


def test_training_that_diverges_says_so(tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    with pytest.raises(InputError, match="diverged"):
        trial.run(options(optimizer="adamw", lr=10.0, weight_decay=1e30))


def test_two_processes_find_what_one_finds(
    whole: Trial, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    two = Trial(tmp_path)
    told: list[int] = []
    two.run(replace(STEADY, devices=2), progress=lambda _, done, __: told.append(done))
    for name, values in whole.curve().items():
        assert two.curve()[name] == pytest.approx(values, rel=1e-3), name
    for key, tensor in whole.weights().items():
        assert torch.allclose(tensor, two.weights()[key], atol=1e-3), key
    assert 12 in told
    assert capfd.readouterr().out == ""


_KILLED = """
import os, sys
from pathlib import Path
import torch
from tests.train.pixels import Trial
from tests.train.test_finetune import STEADY

torch.set_num_threads(1)

def stop(stage, done, total):
    if (stage, done) == ("train", 6):  # of four steps an epoch: in the second one
        os.kill(os.getpid(), int(sys.argv[2]))

if __name__ == "__main__":
    Trial(Path(sys.argv[1])).run(STEADY, progress=stop)
"""


@pytest.mark.parametrize(
    ("how", "status"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 128 + signal.SIGTERM)],
)
def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_been(
    how: signal.Signals, status: int, whole: Trial, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path), str(int(how))],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == status, done.stderr
    (last,) = (tmp_path / "cache" / "finetune").glob("*/last.ckpt")
    assert torch.load(last, weights_only=True)["epoch"] == 0
    steps: list[int] = []
    killed = Trial(tmp_path)
    killed.run(STEADY, progress=lambda s, d, _: steps.append(d) if s == "train" else None)
    assert steps == list(range(5, 13))
    assert killed.curve() == whole.curve()
    for key, tensor in whole.weights().items():
        assert torch.equal(tensor, killed.weights()[key]), key


def test_the_same_training_twice_at_once_is_refused(tmp_path: Path) -> None:
    with (
        checkpoint_folder(tmp_path, {"seed": 1}),
        pytest.raises(InputError, match="under way in another process"),
        checkpoint_folder(tmp_path, {"seed": 1}),
    ):
        pass


def test_a_finished_run_is_not_computed_again(trial: Trial) -> None:
    again = Trial(trial.home)
    steps: list[int] = []
    again.run(LEARNS, progress=lambda s, d, _: steps.append(d) if s == "train" else None)
    assert steps == []
    assert again.curve() == trial.curve()
