"""A grid of experiments end to end, on drawn pictures, with MLflow behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.train.datasets import Drawn, manifest

from doggo.core.errors import InputError
from doggo.core.metrics import wilson_interval
from doggo.core.records import Split
from doggo.tracking.mlflow import MlflowTracker, open_tracker, store_urls
from doggo.tracking.null import NullTracker
from doggo.tracking.tolerant import TolerantTracker
from doggo.train.config import TrainConfig
from doggo.train.grid import parse_axes
from doggo.train.grid_result import GridResult, State
from doggo.train.grid_run import run_grid
from doggo.train.run import experiment

DATA = manifest(("beagle", "pug", "stripes", "waves", "boxer"), train=8, validation=4, test=3)
OPTIONS = {"n_labels": 4, "n_samples": 9, "max_epochs": 2, "seed": 42}
KNOWN = ("model", "lr", "batch_size", "trf_prb", "max_epochs")
CPU = "onnxruntime-f32"


def _grid(
    home: Path,
    pixels: Drawn,
    *words: str,
    tracker: TolerantTracker | None = None,
    cache: Path | None = None,
    **options: Any,
) -> GridResult:
    return run_grid(
        parse_axes(words, KNOWN), OPTIONS, DATA, pixels=pixels, cache=cache or home / "cache",
        tracker=tracker or open_tracker("", home), runtime=CPU, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def first(home: Path) -> tuple[GridResult, Drawn]:
    pixels = Drawn()
    return _grid(home, pixels, "lr=1e-4,5e-2", "trf-prb=0.5"), pixels


def _client(home: Path) -> Any:
    return MlflowTracker(*store_urls(home))._open()


def test_a_point_that_cannot_be_run_is_a_row_with_its_reason(
    first: tuple[GridResult, Drawn],
) -> None:
    result, pixels = first
    assert [row.state for row in result.rows] == [State.FAILED, State.FAILED]
    assert all("cannot use --trf-prb" in row.reason for row in result.rows)
    assert pixels.asked == []


def test_points_share_their_photos_and_no_test_photo_is_read(home: Path) -> None:
    pixels = Drawn()
    words = ("model=efficientnet_lite0,efficientnet_lite2", "lr=1e-4,5e-2")
    result = _grid(home, pixels, *words, cache=home / "unused", again=True)
    assert [row.state for row in result.rows] == [State.DONE] * 2 + [State.FAILED] * 2
    assert "--short-side 292" in result.rows[-1].reason
    side = {row.photo_id: row.split for row in DATA.rows}
    read = [side[photo_id] for photo_id in pixels.asked]
    assert Split.TEST not in read
    # Two points and one network: each photo of the sample was embedded once.
    assert len(read) == len(set(pixels.asked)) == result.train_photos + result.validation_photos
    assert (result.breeds, result.train_photos, result.validation_photos) == (4, 24, 12)
    client = _client(home)
    names = {client.get_run(row.run_id).info.run_name for row in result.rows if row.run_id}
    assert names == {"efficientnet_lite0, lr 0.0001", "efficientnet_lite0, lr 0.05"}
    params = [client.get_run(row.run_id).data.params for row in result.rows if row.run_id]
    assert {(p["seed"], p["n_labels"], p["manifest_id"]) for p in params} == {
        ("42", "4", DATA.manifest_id)
    }


def test_the_best_point_comes_first_and_intervals_hold_the_figures(home: Path) -> None:
    result = _grid(home, Drawn(), "lr=1e-4,5e-2")
    shown = [row.figures for row in result.rows]
    assert len(shown) == 2
    order = [(f.macro_auroc, f.top1) for f in shown if f]
    assert order == sorted(order, reverse=True)
    for figures in shown:
        assert figures is not None
        assert figures.top1_interval == wilson_interval(round(figures.top1 * 12), 12)
        low, high = figures.macro_auroc_interval
        assert low <= figures.macro_auroc <= high
        assert figures.top1_by_epoch[figures.best_epoch] == figures.top1
        assert len(figures.top1_by_epoch) == figures.epochs + 1


def test_the_same_grid_again_runs_nothing_and_finds_the_same(home: Path) -> None:
    words = ("lr=1e-4,5e-2",)
    before = _grid(home, Drawn(), *words)
    pixels = Drawn()
    after = _grid(home, pixels, *words, cache=home / "cleared")
    assert after.kept == 2
    assert pixels.asked == []
    assert [(r.run_id, r.figures) for r in after.rows] == [
        (r.run_id, r.figures) for r in before.rows
    ]
    # The newest grid holds its points, however they came about.
    client = _client(home)
    assert after.run_id is not None
    parents = {client.get_run(row.run_id).data.tags["mlflow.parentRunId"] for row in after.rows}
    assert parents == {after.run_id}
    anew = _grid(home, Drawn(), *words, again=True)
    assert anew.kept == 0
    assert [(r.point.label, r.figures and r.figures.top1_by_epoch) for r in anew.rows] == [
        (r.point.label, r.figures and r.figures.top1_by_epoch) for r in before.rows
    ]
    assert {row.run_id for row in anew.rows}.isdisjoint(row.run_id for row in before.rows)


def test_a_point_that_was_run_alone_is_not_run_again(home: Path) -> None:
    alone = experiment(
        TrainConfig.from_json({**OPTIONS, "lr": 2e-2}), DATA, pixels=Drawn(),
        cache=home / "cache", tracker=open_tracker("", home), runtime=CPU,
    )  # fmt: skip
    (row,) = _grid(home, Drawn(), "lr=2e-2").rows
    assert (row.state, row.run_id) == (State.KEPT, alone.run_id)
    assert row.figures is not None
    assert (row.figures.top1, row.figures.macro_auroc) == (alone.val_top1, alone.val_macro_auroc)


def test_ctrl_c_keeps_what_is_done_and_the_same_grid_goes_on(home: Path) -> None:
    words = ("lr=1e-4,4e-4,5e-4",)

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "grid" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _grid(home, Drawn(), *words, progress=stop)
    client = _client(home)
    experiment_id = client.get_experiment_by_name("experiment").experiment_id
    stopped = client.search_runs([experiment_id], "tags.`doggo.grid` = '3'", max_results=1)[0]
    assert stopped.info.status == "KILLED"
    result = _grid(home, Drawn(), *words)
    states = {row.point.label: row.state for row in result.rows}
    assert states == {"lr 0.0001": "kept", "lr 0.0004": "kept", "lr 0.0005": "done"}


def test_a_run_that_failed_or_was_stopped_is_run_again(home: Path) -> None:
    class Gone(Drawn):
        def image(self, row: object) -> Any:
            raise OSError("the disk went away")

    (row,) = _grid(home, Gone(), "lr=7e-4", cache=home / "empty").rows
    assert (row.state, row.reason) == (State.FAILED, "the disk went away")
    (row,) = _grid(home, Drawn(), "lr=7e-4").rows
    assert row.state == State.DONE


def test_the_comparison_is_kept_as_a_page_and_a_picture(home: Path) -> None:
    result = _grid(home, Drawn(), "lr=1e-4,5e-2", "model=efficientnet_lite0,no<b>such")
    assert result.run_id is not None
    client = _client(home)
    names = {file.path for file in client.list_artifacts(result.run_id)}
    assert names == {"comparison.html", "comparison.png"}
    (folder,) = (home / "tracker" / "artifacts" / "experiment").glob(result.run_id)
    with Image.open(folder / "artifacts" / "comparison.png") as picture:
        assert picture.width > 1000
    page = (folder / "artifacts" / "comparison.html").read_text()
    for row in result.rows:
        assert (
            row.point.command.replace("'", "&#39;").replace("<", "&lt;").replace(">", "&gt;")
            in page
        )
    assert "no<b>such" not in page
    assert "http" not in page.replace("http-equiv", "")
    kept = client.get_run(result.run_id).data
    assert kept.params["grid.lr"] == "0.0001, 0.05"
    assert kept.metrics["best_val_top1"] == result.rows[0].figures.top1  # type: ignore[union-attr]
    assert not list((home / "cache").glob("grid-*"))


def test_without_a_tracker_a_grid_is_compared_all_the_same(home: Path) -> None:
    result = _grid(home, Drawn(), "lr=1e-4", tracker=TolerantTracker(NullTracker()))
    assert result.run_id is None
    assert [row.state for row in result.rows] == [State.DONE]


def test_photos_that_cannot_make_a_model_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one breed"):
        run_grid(
            {"lr": (1e-4,)}, {}, manifest("a", train=3, validation=2), pixels=Drawn(),
            cache=tmp_path / "cache", tracker=open_tracker("none", tmp_path), runtime=CPU,
        )  # fmt: skip
