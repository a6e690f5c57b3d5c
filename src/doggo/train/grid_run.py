"""A grid of experiments as one run of the tracker, its points under it.

Owns the order of the points, which of them need not be run again, and that one which fails
stops no other. What a point does is `run.experiment`; what it found is read by `grid_result`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from doggo.core.errors import DoggoError
from doggo.core.progress import Progress, silent
from doggo.core.records import Manifest, ManifestRow, Split
from doggo.tracking.port import EXPERIMENT, HistoryTracker, Metric, Run
from doggo.train.config import TrainConfig
from doggo.train.grid import Axes, Options, Point, span
from doggo.train.grid_charts import draw_grid
from doggo.train.grid_page import write_page
from doggo.train.grid_result import GridResult, GridRow, State, figures, ranked
from doggo.train.point import POINT_TAG, point_key
from doggo.train.run import experiment
from doggo.train.sample import check_trainable, sample
from doggo.vision.embeddings import Pixels
from doggo.vision.pairs import pair_or_fastest

GRID_TAG = "doggo.grid"
"""Tag of a grid's own run: how many points it has."""

PAGE, PICTURE = "comparison.html", "comparison.png"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Inputs:
    """What all points share."""

    manifest: Manifest
    validation_photos: int
    pixels: Pixels
    cache: Path
    tracker: HistoryTracker
    runtime: str
    weights: Path | None
    again: bool
    progress: Progress


def run_grid(
    axes: Axes,
    options: Options,
    manifest: Manifest,
    *,
    pixels: Pixels,
    cache: Path,
    tracker: HistoryTracker,
    runtime: str = "",
    weights: Path | None = None,
    again: bool = False,
    progress: Progress = silent,
) -> GridResult:
    """Run every combination of the axes on one sample of photos, and compare them.

    A point whose figures the tracker has already (same resolved options, dataset, runtime and
    code) is not run again; so the same command goes on where an interrupted one stopped.

    Args:
        axes: option → values; see `grid.parse_axes`.
        options: the same at every point.
        cache: folder for what can be computed again; embeddings are computed once a network.
        runtime: pair that computes them, such as `openvino-f32`; empty: the fastest.
        weights: folder of downloaded ImageNet weights.
        again: run also the points that the tracker has.

    Raises:
        UsageError: the options that choose the photos are wrong.
        InputError: the photos cannot make a model.
    """
    started = time.perf_counter()
    points = span(axes, options)
    rows = _photos(options, manifest)
    breeds = check_trainable(rows)
    sides = [row.split for row in rows]
    inputs = _Inputs(
        manifest=manifest,
        validation_photos=sides.count(Split.VALIDATION),
        pixels=pixels,
        cache=cache,
        tracker=tracker,
        runtime=runtime,
        weights=weights,
        again=again,
        progress=progress,
    )
    tags = {GRID_TAG: str(len(points)), "manifest_id": manifest.manifest_id}
    with tracker.start(EXPERIMENT, f"grid-{'-'.join(axes)}", tags) as parent:
        parent.log_params(_params(axes, options, manifest))
        result = GridResult(
            run_id=parent.run_id,
            manifest_id=manifest.manifest_id,
            breeds=len(breeds),
            train_photos=sides.count(Split.TRAIN),
            validation_photos=inputs.validation_photos,
            rows=ranked(_run_points(points, inputs, parent)),
            seconds=time.perf_counter() - started,
        )
        _report(parent, result, cache)
    return result


def _photos(options: Options, manifest: Manifest) -> tuple[ManifestRow, ...]:
    """Return the photos of every point: the options that choose them cannot vary."""
    chosen = {name: options[name] for name in ("n_labels", "n_samples", "seed") if name in options}
    config = TrainConfig.from_json(chosen)
    return sample(
        manifest.rows, n_labels=config.n_labels, n_samples=config.n_samples, seed=config.seed
    )


def _run_points(points: Sequence[Point], inputs: _Inputs, parent: Run) -> list[GridRow]:
    pair = pair_or_fastest(inputs.runtime)
    rows: list[GridRow] = []
    seen: set[str] = set()
    for number, point in enumerate(points):
        inputs.progress("grid", number, len(points))
        try:
            config = TrainConfig.from_json(point.options)
            key = point_key(config, inputs.manifest.manifest_id, pair.name)
            if key not in seen:  # a default that is also written out is one point
                rows.append(
                    _kept(point, key, inputs, parent) or _run(point, config, inputs, parent)
                )
            seen.add(key)
        # RuntimeError and MemoryError are how torch says that a network is too large.
        except (DoggoError, OSError, RuntimeError, MemoryError) as error:
            log.info("grid.point_failed point=%s", point.label, exc_info=True)
            rows.append(GridRow(point=point, state=State.FAILED, reason=_line(error)))
    inputs.progress("grid", len(points), len(points))
    return rows


def _kept(point: Point, key: str, inputs: _Inputs, parent: Run) -> GridRow | None:
    """Return the row of a point that the tracker has, moved under this grid."""
    if inputs.again:
        return None
    kept = inputs.tracker.finished(EXPERIMENT, POINT_TAG, key)
    found = figures(kept.metrics, inputs.validation_photos) if kept else None
    if kept is None or found is None:
        return None
    if kept.run_id and parent.run_id:
        inputs.tracker.move_under(kept.run_id, parent.run_id)
    return GridRow(point=point, state=State.KEPT, run_id=kept.run_id, figures=found)


def _run(point: Point, config: TrainConfig, inputs: _Inputs, parent: Run) -> GridRow:
    done = experiment(
        config,
        inputs.manifest,
        pixels=inputs.pixels,
        cache=inputs.cache,
        tracker=inputs.tracker,
        runtime=inputs.runtime,
        weights=inputs.weights,
        name=point.label,
        parent_id=parent.run_id,
        progress=inputs.progress,
    )
    found = figures(done.metrics, inputs.validation_photos)
    assert found is not None, "an experiment tells its tracker all that a grid compares"
    return GridRow(point=point, state=State.DONE, run_id=done.run_id, figures=found)


def _report(parent: Run, result: GridResult, cache: Path) -> None:
    """Tell the tracker the winner, and keep the comparison as a page and a picture."""
    best = result.rows[0].figures
    if best is None:
        return
    parent.log_metrics(
        [
            Metric("best_val_top1", best.top1),
            Metric("best_val_macro_auroc", best.macro_auroc),
            Metric("points_failed", sum(row.state == State.FAILED for row in result.rows)),
        ]
    )
    cache.mkdir(parents=True, exist_ok=True)  # no point has made it where all were kept
    with TemporaryDirectory(dir=cache, prefix="grid-") as folder:
        picture = draw_grid(result, Path(folder) / PICTURE)
        parent.log_file(picture)
        parent.log_file(write_page(result, picture.read_bytes(), Path(folder) / PAGE))


def _params(axes: Axes, options: Options, manifest: Manifest) -> Mapping[str, str]:
    fixed = {name: str(value) for name, value in options.items() if name not in axes}
    varied = {f"grid.{name}": ", ".join(map(str, values)) for name, values in axes.items()}
    return {**fixed, **varied, "manifest_id": manifest.manifest_id}


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
