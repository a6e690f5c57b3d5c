"""Training as a stage: a dataset in, a candidate folder and a tracked run out.

Owns the order of the steps and what the tracker is told. What a recipe does is in its module.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from doggo import __version__
from doggo.core.errors import UsageError
from doggo.core.metrics import confusion_counts, macro_auroc_interval
from doggo.core.progress import Progress, silent
from doggo.core.records import Manifest, ManifestRow
from doggo.nets.backbones import backbone
from doggo.nets.candidate import CandidateInfo, save_candidate
from doggo.nets.network import DogNet, make_network
from doggo.tracking.port import EXPERIMENT, PARENT_TAG, TRAINING, Metric, Run, Tracker
from doggo.tracking.recorded import RecordedRun
from doggo.train.charts import draw_confusion, draw_curve
from doggo.train.config import FINETUNE, PROBE, TrainConfig
from doggo.train.finetuning import train_on_pixels
from doggo.train.point import POINT_TAG, point_key
from doggo.train.probing import train_on_embeddings
from doggo.train.provenance import git_revision
from doggo.train.recipe import Clock, Inputs, Outcome, Recipe
from doggo.train.sample import check_trainable, sample
from doggo.vision.embeddings import Pixels
from doggo.vision.pairs import Pair, pair_or_fastest
from doggo.vision.verdict import calibrated

_RECIPES: Mapping[str, Recipe] = {PROBE: train_on_embeddings, FINETUNE: train_on_pixels}


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentResult:
    """What an experiment found.

    Attributes:
        run_id: the tracker's, or None.
        config: resolved.
        photos: used for training and for validation.
        start_top1, start_macro_auroc: validation figures before training.
        val_top1, val_macro_auroc: of the epoch that was kept.
        metrics: all that the tracker was told, by epoch.
    """

    run_id: str | None
    config: TrainConfig
    labels: tuple[str, ...]
    train_photos: int
    validation_photos: int
    epochs: int
    best_epoch: int
    start_top1: float
    start_macro_auroc: float
    val_top1: float
    val_macro_auroc: float
    seconds: float
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What both kinds of run begin with."""

    manifest: Manifest
    rows: Sequence[ManifestRow]
    pixels: Pixels
    cache: Path
    pair: Pair
    weights: Path | None
    progress: Progress
    embed_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """What both kinds of run have in common at their end."""

    network: DogNet
    info: CandidateInfo
    outcome: Outcome


def train(
    config: TrainConfig,
    manifest: Manifest,
    *,
    pixels: Pixels,
    cache: Path,
    tracker: Tracker,
    work: Path,
    runtime: str = "",
    weights: Path | None = None,
    embed_s: float = 0.0,
    progress: Progress = silent,
) -> Path:
    """Train on all photos of the dataset; return the candidate's folder, which is `work`.

    Args:
        cache: folder for what can be computed again: embeddings, and the backbone's graph.
        work: folder for the candidate, its checkpoints and charts.
        runtime: pair that computes the embeddings, such as `openvino-f32`; empty: the fastest.
        weights: folder of downloaded ImageNet weights.
        embed_s: seconds that embedding these photos took before, for the tracker.

    Raises:
        UsageError: the configuration samples, or its backbone needs larger photos.
        InputError: the photos cannot make a model.
        WeightsError: the backbone's weights are not here.
    """
    if config.n_labels is not None or config.n_samples is not None:
        raise UsageError(
            "train takes all breeds and photos: leave out --n-labels and --n-samples, or run "
            "`doggo experiment`"
        )
    rows = sample(manifest.rows, n_labels=None, n_samples=None, seed=config.seed)
    check_trainable(rows)
    request = _Request(
        manifest=manifest,
        rows=rows,
        pixels=pixels,
        cache=cache,
        pair=pair_or_fastest(runtime),
        weights=weights,
        embed_s=embed_s,
        progress=progress,
    )
    with tracker.start(TRAINING, _run_name(config), _tags(manifest)) as run:
        trained = _train(config, request, run, work)
        return save_candidate(work, trained.info, trained.network)


def experiment(
    config: TrainConfig,
    manifest: Manifest,
    *,
    pixels: Pixels,
    cache: Path,
    tracker: Tracker,
    runtime: str = "",
    weights: Path | None = None,
    name: str = "",
    parent_id: str | None = None,
    progress: Progress = silent,
) -> ExperimentResult:
    """Train on a sample of breeds and photos; nothing is registered and no candidate is left.

    Arguments and errors are those of `train`; `n_labels` and `n_samples` are welcome.

    Args:
        name: of the tracker's run; empty: after the network and the recipe.
        parent_id: the tracker's run that this one belongs to.
    """
    started = time.perf_counter()
    rows = sample(
        manifest.rows, n_labels=config.n_labels, n_samples=config.n_samples, seed=config.seed
    )
    check_trainable(rows)
    request = _Request(
        manifest=manifest,
        rows=rows,
        pixels=pixels,
        cache=cache,
        pair=pair_or_fastest(runtime),
        weights=weights,
        progress=progress,
    )
    cache.mkdir(parents=True, exist_ok=True)
    key = point_key(config, manifest.manifest_id, request.pair.name)
    tags = {**_tags(manifest), POINT_TAG: key}
    if parent_id:
        tags[PARENT_TAG] = parent_id
    with (
        TemporaryDirectory(dir=cache, prefix="experiment-") as work,
        tracker.start(EXPERIMENT, name or _run_name(config), tags) as opened,
    ):
        run = RecordedRun(opened)
        trained = _train(config, request, run, Path(work))
        run_id = run.run_id
    outcome = trained.outcome
    return ExperimentResult(
        run_id=run_id,
        config=config.resolved(),
        labels=trained.info.labels,
        train_photos=outcome.train_photos,
        validation_photos=len(outcome.val_labels_N),
        epochs=outcome.curve[-1].number,
        best_epoch=outcome.best.number,
        start_top1=outcome.curve[0].val_top1,
        start_macro_auroc=outcome.curve[0].val_macro_auroc,
        val_top1=outcome.best.val_top1,
        val_macro_auroc=outcome.best.val_macro_auroc,
        seconds=time.perf_counter() - started,
        metrics=tuple(run.metrics),
    )


def _train(config: TrainConfig, request: _Request, run: Run, work: Path) -> _Trained:
    manifest = request.manifest
    config = config.resolved()
    run.log_params({**config.words(), "manifest_id": manifest.manifest_id})
    work.mkdir(parents=True, exist_ok=True)
    inputs = _inputs(config, request, work)
    clock = Clock({"embed": request.embed_s} if request.embed_s else {})
    network, weights_sha256 = make_network(config.model, inputs.labels, weights=request.weights)
    clock.lap("load")
    outcome = _RECIPES[config.recipe](network, inputs, config=config, run=run, clock=clock)
    info = CandidateInfo(
        backbone=config.model,
        labels=tuple(inputs.labels),
        view=inputs.view,
        recipe=config.recipe,
        config=config.words(),
        manifest_id=manifest.manifest_id,
        run_id=run.run_id,
        weights_sha256=weights_sha256,
        seed=config.seed,
        git_revision=git_revision(),
    )
    _report(run, outcome, inputs.labels, work)
    clock.lap("report")
    run.log_metrics([Metric(f"seconds_{name}", value) for name, value in clock.laps.items()])
    return _Trained(network=network, info=info, outcome=outcome)


def _inputs(config: TrainConfig, request: _Request, work: Path) -> Inputs:
    short_side_px = request.manifest.short_side_px
    return Inputs(
        manifest=request.manifest,
        rows=request.rows,
        labels=check_trainable(request.rows),
        view=backbone(config.model).view(short_side_px, config.input_size),
        pixels=request.pixels,
        pair=request.pair,
        cache=request.cache,
        work=work,
        progress=request.progress,
    )


def _report(run: Run, outcome: Outcome, labels: Sequence[str], work: Path) -> None:
    """Tell the tracker the curve, the winner and the pictures."""
    names = ("train_loss", "train_top1", "val_loss", "val_top1", "val_macro_auroc")
    curve = [Metric(n, getattr(e, n), e.number) for e in outcome.curve for n in names]
    best = [Metric(f"best_{name}", getattr(outcome.best, name)) for name in names]
    low, high = macro_auroc_interval(calibrated(outcome.val_logits_NK, 1.0), outcome.val_labels_N)
    ends = [Metric("best_val_macro_auroc_low", low), Metric("best_val_macro_auroc_high", high)]
    run.log_metrics([*curve, *best, *ends, Metric("best_epoch", outcome.best.number)])
    answers_N = outcome.val_logits_NK.argmax(axis=1)
    counts_KK = confusion_counts(outcome.val_labels_N, answers_N, len(labels))
    run.log_file(draw_curve(outcome.curve, outcome.best, work / "curve.png"), "charts")
    run.log_file(draw_confusion(counts_KK, labels, work / "confusion.png"), "charts")


def _run_name(config: TrainConfig) -> str:
    return f"{config.model}-{config.recipe}-{config.seed}"


def _tags(manifest: Manifest) -> dict[str, str]:
    return {
        "manifest_id": manifest.manifest_id,
        "git_revision": git_revision(),
        "doggo_version": __version__,
    }
