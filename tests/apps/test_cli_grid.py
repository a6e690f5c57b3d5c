"""`doggo experiment --grid` and `doggo import neptune`, as a person or a script meets them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.commands import run_doggo
from tests.tracking.exports import system, value, write, write_registry, write_run
from typer.testing import CliRunner

from doggo import wiring
from doggo.apps.cli import app
from doggo.apps.cli.grid import grid_result
from doggo.apps.drawn import write_drawn
from doggo.core.metrics import Interval
from doggo.train.grid import Point
from doggo.train.grid_result import Figures, GridResult, GridRow, State

Experiment = Callable[..., Any]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a dataset of five drawn breeds, and nothing trained."""
    root = tmp_path_factory.mktemp("dataset")
    list(write_drawn(root / "drawn", breeds=5, pictures=14))
    for words in (["intake", root / "drawn"], ["preprocess"]):
        assert run_doggo(root / "home", *words).code == 0
    return root / "home"


@pytest.fixture
def experiment(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Experiment]:
    """Runs `doggo experiment … --json` in this process: torch is loaded once for all of them."""
    monkeypatch.setenv("DOGGO_HOME", str(dataset))
    monkeypatch.setenv("DOGGO_TRACKER", "none")  # a fresh MLflow database takes seconds
    wiring.settings.cache_clear()

    def run(*words: object) -> Any:
        done = CliRunner().invoke(app, ["experiment", *map(str, words), "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    yield run
    wiring.settings.cache_clear()


def test_the_command_that_a_point_names_gives_the_same_figures(experiment: Experiment) -> None:
    sample = ["--n-labels", 4, "--n-samples", 8, "--max-epochs", 3]
    points = experiment(*sample, "--grid", "lr=1e-4,2e-2")["points"]
    assert {point["varied"]["lr"] for point in points} == {1e-4, 2e-2}
    doggo, name, *words = shlex.split(points[-1]["command"])
    assert (doggo, name) == ("doggo", "experiment")
    alone = experiment(*words)
    figures = ("val_top1", "val_macro_auroc", "start_top1", "best_epoch", "epochs")
    assert {key: alone[key] for key in figures} == {key: points[-1][key] for key in figures}
    assert alone["config"]["lr"] == points[-1]["varied"]["lr"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grid", "lr=1,2", "--lr", "1"], "--lr is given by itself and in --grid"),
        (["--grid", "batch-size=1", "--batch-size", "2"], "--batch-size is given by itself"),
        (["--again"], "--again goes with --grid"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_usage(
    words: list[str], said: str, tmp_path: Path
) -> None:
    done = run_doggo(tmp_path / "home", "experiment", *words)
    assert done.code == 2
    assert said in done.line()


def _compared(*rows: GridRow) -> GridResult:
    return GridResult(
        run_id="r", manifest_id="m", breeds=4, train_photos=24, validation_photos=12,
        rows=rows, seconds=1.0,
    )  # fmt: skip


def _row(lr: float, state: State) -> GridRow:
    figures = Figures(
        top1=0.5, top1_interval=Interval(0.25, 0.75), macro_auroc=0.875,
        macro_auroc_interval=Interval(0.5, 1.0), start_top1=0.25, best_epoch=2, epochs=3,
        top1_by_epoch={0: 0.25, 1: 0.25, 2: 0.5, 3: 0.5},
        seconds=1.25,
    )  # fmt: skip
    point = Point(varied={"lr": lr}, options={"lr": lr})
    if state == State.FAILED:
        return GridRow(point=point, state=state, reason="weights are missing")
    return GridRow(point=point, state=state, run_id="x", figures=figures)


def test_the_table_shows_figures_reasons_and_commands(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [_row(1e-4, State.DONE), _row(1e-3, State.KEPT), _row(1e-2, State.FAILED)]
    grid_result(_compared(*rows), json=False)
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[2].split() == ["lr", "0.0001", "0.8750", "0.5000–1.0000", "0.5000",
                                "0.2500–0.7500", "2", "of", "3", "1.2"]  # fmt: skip
    assert lines[3].endswith("kept")
    assert "failed: lr 0.01: weights are missing" in lines
    assert "  doggo experiment --lr 0.001" in lines
    assert "1 of 3 points were in the tracker already" in said.err


def test_a_grid_of_which_nothing_could_be_run_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left:
        grid_result(_compared(_row(1e-2, State.FAILED)), json=False)
    assert left.value.exit_code == 1
    assert "the first said: weights are missing" in capsys.readouterr().err


def test_an_export_of_neptune_is_imported_and_what_failed_is_said(tmp_path: Path) -> None:
    export, home = tmp_path / "exports", tmp_path / "home"
    write_run(export)
    write_registry(export)
    write(export, "EXP-2", [*system("EXP-2"), value("a", "file", "../../../x")])
    write(export, "EXP-3", system("EXP-3")).write_bytes(b"torn")
    done = run_doggo(home, "import", "neptune", export, "--json")
    assert done.code == 1
    assert "1 could not be imported" in done.line()
    said = done.json()
    assert said["imported"] == {"run": 2, "model": 1, "model_version": 4}
    assert (said["failed"], said["refused_files"]) == (1, 1)
