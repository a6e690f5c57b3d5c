"""The probe: it learns, repeats itself, keeps the best epoch, and can be interrupted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.train.datasets import clouds
from torch import nn

from doggo.core.errors import InputError, StorageError
from doggo.core.metrics import macro_auroc, top_k
from doggo.train.config import TrainConfig
from doggo.train.probe import Labelled, ProbeResult, train_probe

CLASSES, FEATURES = 6, 16
TRAIN = clouds(240, classes=CLASSES, features=FEATURES, seed=1)
VALIDATION = clouds(120, classes=CLASSES, features=FEATURES, seed=2)
CONFIG = TrainConfig(lr=1e-2, batch_size=32, max_epochs=8, patience=8).resolved()


def _blank() -> nn.Linear:
    head = nn.Linear(FEATURES, CLASSES)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def _perfect() -> nn.Linear:
    """A head that already is as good as it gets on the clouds."""
    head = _blank()
    means = np.stack([TRAIN.features[TRAIN.labels == k].mean(0) for k in range(CLASSES)])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(means))
        head.bias.copy_(-0.5 * (head.weight**2).sum(1))
    return head


def _shuffled(side: Labelled) -> Labelled:
    return replace(side, labels=np.random.default_rng(3).permutation(side.labels))


def _train(start: nn.Linear, work: Path, config: TrainConfig = CONFIG) -> ProbeResult:
    return train_probe(start, TRAIN, VALIDATION, config=config, work=work)


def test_no_cloud_is_asked_about_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning.pytorch.callbacks.model_checkpoint._is_dir", pytest.fail)
    _train(_blank(), tmp_path, replace(CONFIG, max_epochs=1))
    assert (tmp_path / "best.ckpt").is_file()


def test_it_learns_what_can_be_learned(tmp_path: Path) -> None:
    result = _train(_blank(), tmp_path)
    assert result.curve[0].val_top1 == pytest.approx(1 / CLASSES)
    assert result.best.val_top1 > 0.95
    assert result.best.number > 0
    assert [epoch.number for epoch in result.curve] == list(range(9))


def test_the_same_seed_gives_the_same_bytes_whatever_the_threads(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    first = _train(_blank(), tmp_path / "a")
    try:
        torch.set_num_threads(threads + 1)
        second = _train(_blank(), tmp_path / "b")
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    other = _train(_blank(), tmp_path / "c", replace(CONFIG, seed=7))
    assert first.weight.tobytes() == second.weight.tobytes()
    assert first.bias.tobytes() == second.bias.tobytes()
    assert first.curve == second.curve
    assert first.weight.tobytes() != other.weight.tobytes()


def test_the_figures_are_those_of_the_whole_validation_set(tmp_path: Path) -> None:
    result = _train(_blank(), tmp_path)
    logits = VALIDATION.features @ result.weight.T + result.bias
    np.testing.assert_allclose(result.val_logits, logits, atol=1e-4)
    probabilities = torch.from_numpy(logits).softmax(1).numpy()
    assert result.best.val_macro_auroc == pytest.approx(
        macro_auroc(probabilities, VALIDATION.labels)
    )
    assert result.best.val_top1 == top_k(probabilities, VALIDATION.labels)


def test_the_best_checkpoint_is_the_head_that_is_returned(tmp_path: Path) -> None:
    result = _train(_blank(), tmp_path)
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)["state_dict"]
    assert np.array_equal(best["head.weight"].numpy(), result.weight)
    assert result.best.val_macro_auroc == max(e.val_macro_auroc for e in result.curve)


def test_the_last_checkpoint_is_the_head_of_the_last_epoch(tmp_path: Path) -> None:
    result = train_probe(
        _perfect(), _shuffled(TRAIN), VALIDATION, config=replace(CONFIG, lr=0.5), work=tmp_path
    )
    assert result.best.number == 0
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert last["epoch"] == result.curve[-1].number - 1  # counted from 0
    logits = VALIDATION.features @ last["state_dict"]["head.weight"].numpy().T
    logits += last["state_dict"]["head.bias"].numpy()
    assert result.curve[-1].val_top1 == top_k(logits, VALIDATION.labels)


def test_checkpoints_hold_a_head_and_no_optimizer(tmp_path: Path) -> None:
    _train(_blank(), tmp_path)
    for name in ("best.ckpt", "last.ckpt"):
        kept = torch.load(tmp_path / name, weights_only=True)
        assert set(kept["state_dict"]) == {"head.weight", "head.bias"}
        assert "optimizer_states" not in kept


def test_training_that_only_harms_keeps_the_head_it_began_with(tmp_path: Path) -> None:
    start = _perfect()
    result = train_probe(
        start, _shuffled(TRAIN), VALIDATION, config=replace(CONFIG, lr=0.5), work=tmp_path
    )
    assert result.best.number == 0
    assert np.array_equal(result.weight, start.weight.detach().numpy())
    assert result.curve[1].val_top1 < result.curve[0].val_top1
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)["state_dict"]
    assert np.array_equal(best["head.weight"].numpy(), result.weight)


def test_an_epoch_with_a_lower_top1_never_wins(tmp_path: Path) -> None:
    # A start that ranks at random yet is right about one class: many epochs rank better.
    for seed in range(3):
        torch.manual_seed(seed)
        result = _train(nn.Linear(FEATURES, CLASSES), tmp_path / str(seed))
        assert result.best.eligible
        assert result.best.val_top1 >= result.curve[0].val_top1
        for epoch in result.curve:
            assert epoch.eligible == (epoch.val_top1 >= result.curve[0].val_top1)


def test_it_stops_when_the_ranking_gets_no_better(tmp_path: Path) -> None:
    config = replace(CONFIG, lr=1e-9, max_epochs=50, patience=3)
    assert len(_train(_perfect(), tmp_path, config).curve) == 1 + 1 + 3


def test_without_epochs_it_keeps_the_start(tmp_path: Path) -> None:
    start = _perfect()
    result = _train(start, tmp_path, replace(CONFIG, max_epochs=0))
    assert len(result.curve) == 1
    assert np.array_equal(result.weight, start.weight.detach().numpy())


def test_a_class_without_validation_photos_is_left_out_of_the_auroc(tmp_path: Path) -> None:
    some = VALIDATION.labels != 0
    side = Labelled(features=VALIDATION.features[some], labels=VALIDATION.labels[some])
    result = train_probe(_blank(), TRAIN, side, config=CONFIG, work=tmp_path)
    assert result.best.val_macro_auroc > 0.99


def test_training_that_diverges_says_so(tmp_path: Path) -> None:
    huge = replace(TRAIN, features=TRAIN.features * np.float32(5e37))
    with pytest.raises(InputError, match="diverged"):
        train_probe(_perfect(), huge, VALIDATION, config=replace(CONFIG, lr=10.0), work=tmp_path)


@pytest.mark.parametrize("max_epochs", [0, 8])
def test_a_full_disk_is_one_line_and_leaves_no_checkpoint(
    small_disk: Callable[[str], Path], max_epochs: int
) -> None:
    disk = small_disk("4k")
    (disk / "other").write_bytes(bytes(4096))
    with pytest.raises(StorageError, match=r"cannot keep the checkpoint .*disk"):
        _train(_blank(), disk, replace(CONFIG, max_epochs=max_epochs))
    assert [file.name for file in disk.iterdir()] == ["other"]


def test_it_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    train_probe(
        _blank(), TRAIN, VALIDATION, config=CONFIG, work=tmp_path,
        progress=lambda *what: told.append(what),
    )  # fmt: skip
    assert told == [("train", n, 8) for n in range(1, 9)]


def test_it_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _train(_blank(), tmp_path)
    assert capfd.readouterr() == ("", "")


_INTERRUPTED = """
import signal, sys
from pathlib import Path
from tests.train.test_probe import CONFIG, TRAIN, VALIDATION, _blank
from doggo.train.probe import train_probe

def interrupt(_, done, __):
    if done == 3:
        signal.raise_signal(signal.SIGINT)

# Whoever started the tests in the background may have had SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
before = signal.getsignal(signal.SIGINT)
try:
    train_probe(
        _blank(), TRAIN, VALIDATION, config=CONFIG, work=Path(sys.argv[1]), progress=interrupt
    )
except KeyboardInterrupt:
    print("stopped", signal.getsignal(signal.SIGINT) is before)
"""


def test_ctrl_c_leaves_the_last_epoch_and_the_signal_as_they_were(tmp_path: Path) -> None:
    # In a process of its own: a real SIGINT would end the one that runs the tests.
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, str(tmp_path)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.stdout == "stopped True\n", done.stderr
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert last["epoch"] == 1  # counted from 0: the second epoch was the last whole one
