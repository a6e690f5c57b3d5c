"""What a grid found: a row a point, the best first, from the figures that a tracker keeps.

Pure. A point that was run now and one that the tracker remembers are read in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from doggo.core.metrics import Interval, wilson_interval
from doggo.tracking.port import Metric
from doggo.train.grid import Point


class State(StrEnum):
    """What became of a point."""

    DONE = "done"  # run now
    KEPT = "kept"  # the tracker had it: same options, dataset, runtime and code
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """A point in figures, all of the validation side; shares and areas in [0, 1].

    Attributes:
        top1, macro_auroc: of the epoch that was kept, with 95 % intervals.
        start_top1: before training.
        top1_by_epoch: epoch → top-1; the first is before training.
        seconds: of training alone: points of one network share its embeddings or activations,
            and loading, measuring the bare network and drawing are alike for all.
    """

    top1: float
    top1_interval: Interval
    macro_auroc: float
    macro_auroc_interval: Interval
    start_top1: float
    best_epoch: int
    epochs: int
    top1_by_epoch: Mapping[int, float]
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class GridRow:
    """One point of a grid.

    Attributes:
        run_id: the tracker's, if there is one.
        figures: None where it failed.
        reason: why it failed, in one line; else empty.
    """

    point: Point
    state: State
    run_id: str | None = None
    figures: Figures | None = None
    reason: str = ""

    def to_json(self) -> dict[str, object]:
        shown = self.figures
        return {
            "varied": dict(self.point.varied),
            "state": self.state.value,
            "run_id": self.run_id,
            "reason": self.reason,
            "command": self.point.command,
            "val_top1": shown and shown.top1,
            "val_top1_interval": shown and list(shown.top1_interval),
            "val_macro_auroc": shown and shown.macro_auroc,
            "val_macro_auroc_interval": shown and list(shown.macro_auroc_interval),
            "start_top1": shown and shown.start_top1,
            "best_epoch": shown and shown.best_epoch,
            "epochs": shown and shown.epochs,
            "seconds": shown and shown.seconds,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class GridResult:
    """A grid of experiments on one sample of photos.

    Attributes:
        run_id: of the tracker's run that holds the points and the comparison, if there is one.
        rows: the best first, those that failed last.
    """

    run_id: str | None
    manifest_id: str
    breeds: int
    train_photos: int
    validation_photos: int
    rows: tuple[GridRow, ...]
    seconds: float

    @property
    def kept(self) -> int:
        """How many points were not run again."""
        return sum(row.state == State.KEPT for row in self.rows)

    def to_json(self) -> dict[str, object]:
        return {
            "run_id": self.run_id,
            "manifest_id": self.manifest_id,
            "breeds": self.breeds,
            "train_photos": self.train_photos,
            "validation_photos": self.validation_photos,
            "points": [row.to_json() for row in self.rows],
            "seconds": self.seconds,
        }


def figures(metrics: Sequence[Metric], validation_photos: int) -> Figures | None:
    """Return what a run's metrics say, or None if the tracker has lost some of them."""
    last = {metric.name: metric.value for metric in metrics}
    curve = {metric.step: metric.value for metric in metrics if metric.name == "val_top1"}
    needed = ("best_val_top1", "best_val_macro_auroc", "best_epoch")
    if not curve or not all(name in last for name in needed):
        return None
    best = last["best_val_top1"]
    hits = round(best * validation_photos)
    return Figures(
        top1=best,
        top1_interval=wilson_interval(hits, validation_photos),
        macro_auroc=last["best_val_macro_auroc"],
        macro_auroc_interval=Interval(
            last.get("best_val_macro_auroc_low", 0.0), last.get("best_val_macro_auroc_high", 1.0)
        ),
        start_top1=curve[min(curve)],
        best_epoch=int(last["best_epoch"]),
        epochs=max(curve),
        top1_by_epoch={step: curve[step] for step in sorted(curve)},
        seconds=last.get("seconds_train", 0.0),
    )


def ranked(rows: Sequence[GridRow]) -> tuple[GridRow, ...]:
    """Return the rows by macro AUROC, then top-1, the best first; those that failed last."""

    def rank(row: GridRow) -> tuple[float, float]:
        shown = row.figures
        return (-shown.macro_auroc, -shown.top1) if shown else (1.0, 0.0)

    return tuple(sorted(rows, key=rank))
