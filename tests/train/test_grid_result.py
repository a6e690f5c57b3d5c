"""What a run's metrics say, and which point is the best."""

from __future__ import annotations

from doggo.core.metrics import wilson_interval
from doggo.tracking.port import Metric
from doggo.train.grid import Point
from doggo.train.grid_result import GridRow, State, figures, ranked

METRICS = [
    *(Metric("val_top1", value, step) for step, value in ((2, 0.75), (0, 0.5), (1, 0.25))),
    Metric("best_val_top1", 0.75), Metric("best_val_macro_auroc", 0.9), Metric("best_epoch", 2),
    Metric("best_val_macro_auroc_low", 0.8), Metric("best_val_macro_auroc_high", 0.95),
    Metric("seconds_load", 1.0), Metric("seconds_embed", 100.0), Metric("seconds_train", 2.0),
    Metric("seconds_report", 3.0),
]  # fmt: skip


def test_figures_are_those_of_the_epoch_that_was_kept() -> None:
    found = figures(METRICS, 8)
    assert found is not None
    assert (found.top1, found.start_top1, found.best_epoch, found.epochs) == (0.75, 0.5, 2, 2)
    assert found.top1_interval == wilson_interval(6, 8)
    assert found.macro_auroc_interval == (0.8, 0.95)
    assert list(found.top1_by_epoch.items()) == [(0, 0.5), (1, 0.25), (2, 0.75)]
    assert found.seconds == 2.0


def test_seconds_are_those_of_training_alone() -> None:
    """Of `--layers last`, whichever point comes first computes the activations of all."""
    around = [Metric(f"seconds_{lap}", 100.0) for lap in ("prepare", "show", "measure")]
    found = figures([*METRICS, *around], 8)
    assert found is not None
    assert found.seconds == 2.0


def test_a_run_whose_figures_were_lost_has_none() -> None:
    for name in ("best_val_top1", "best_val_macro_auroc", "best_epoch", "val_top1"):
        assert figures([metric for metric in METRICS if metric.name != name], 8) is None
    assert figures([], 8) is None


def test_the_best_point_has_the_highest_macro_auroc_and_then_top1() -> None:
    def row(name: str, auroc: float | None, top1: float = 0.5) -> GridRow:
        point = Point(varied={"model": name}, options={})
        if auroc is None:
            return GridRow(point=point, state=State.FAILED, reason="x")
        metrics = [
            Metric("val_top1", top1), Metric("best_val_top1", top1),
            Metric("best_val_macro_auroc", auroc), Metric("best_epoch", 0),
        ]  # fmt: skip
        return GridRow(point=point, state=State.DONE, figures=figures(metrics, 4))

    rows = [row("failed", None), row("d", 0.0, 0.0), row("b", 0.9, 0.5), row("a", 0.9, 0.75)]
    assert [found.point.label for found in ranked(rows)] == ["a", "b", "d", "failed"]
