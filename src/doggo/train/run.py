"""Training as a stage: a dataset in, a candidate folder and a tracked run out.

Owns the order of the steps and what the tracker is told. What a step does is in its module.

Legend: N photos, K breeds, D features.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from doggo import __version__
from doggo.core.errors import UsageError
from doggo.core.metrics import confusion_counts
from doggo.core.progress import Progress, silent
from doggo.core.records import Manifest, ManifestRow, Split
from doggo.nets.backbones import backbone
from doggo.nets.candidate import CandidateInfo, save_candidate
from doggo.nets.features_graph import features_graph
from doggo.nets.network import DogNet, features_sha256, make_network, start_rows
from doggo.tracking.port import EXPERIMENT, TRAINING, Metric, Run, Tracker
from doggo.train.charts import draw_confusion, draw_curve
from doggo.train.config import TrainConfig
from doggo.train.probe import Labelled, ProbeResult, train_probe
from doggo.train.provenance import git_revision
from doggo.train.sample import check_trainable, sample
from doggo.vision.embeddings import EmbeddingCache, EmbeddingKey, Pixels, embed
from doggo.vision.runtime import Pair, Session, open_session, usable_pairs

_FASTEST_FIRST = ("openvino-bf16", "openvino-f32", "onnxruntime-f32")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentResult:
    """What an experiment found.

    Attributes:
        run_id: the tracker's, or None.
        config: resolved.
        photos: used for training and for validation.
        start_top1, start_macro_auroc: validation figures before training.
        val_top1, val_macro_auroc: of the epoch that was kept.
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


@dataclass(frozen=True, kw_only=True)
class _Inputs:
    """What both kinds of run begin with."""

    manifest: Manifest
    rows: Sequence[ManifestRow]
    pixels: Pixels
    cache: Path
    pair: Pair
    weights: Path | None
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """What both kinds of run have in common at their end."""

    network: DogNet
    info: CandidateInfo
    probe: ProbeResult
    train_photos: int
    validation_photos: int


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
    progress: Progress = silent,
) -> Path:
    """Train on all photos of the dataset; return the candidate's folder, which is `work`.

    Args:
        cache: folder for what can be computed again: embeddings, and the backbone's graph.
        work: folder for the candidate, its checkpoints and charts.
        runtime: pair that computes the embeddings, such as `openvino-f32`; empty: the fastest.
        weights: folder of downloaded ImageNet weights.

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
    inputs = _Inputs(
        manifest=manifest,
        rows=rows,
        pixels=pixels,
        cache=cache,
        pair=Pair.parse(runtime) if runtime else fastest_pair(),
        weights=weights,
        progress=progress,
    )
    with tracker.start(TRAINING, _run_name(config), _tags(manifest)) as run:
        trained = _train(config, inputs, run, work)
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
    progress: Progress = silent,
) -> ExperimentResult:
    """Train on a sample of breeds and photos; nothing is registered and no candidate is left.

    Arguments and errors are those of `train`; `n_labels` and `n_samples` are welcome.
    """
    started = time.perf_counter()
    rows = sample(
        manifest.rows, n_labels=config.n_labels, n_samples=config.n_samples, seed=config.seed
    )
    check_trainable(rows)
    inputs = _Inputs(
        manifest=manifest,
        rows=rows,
        pixels=pixels,
        cache=cache,
        pair=Pair.parse(runtime) if runtime else fastest_pair(),
        weights=weights,
        progress=progress,
    )
    cache.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(dir=cache, prefix="experiment-") as work,
        tracker.start(EXPERIMENT, _run_name(config), _tags(manifest)) as run,
    ):
        trained = _train(config, inputs, run, Path(work))
        run_id = run.run_id
    probe = trained.probe
    return ExperimentResult(
        run_id=run_id,
        config=config.resolved(),
        labels=trained.info.labels,
        train_photos=trained.train_photos,
        validation_photos=trained.validation_photos,
        epochs=probe.curve[-1].number,
        best_epoch=probe.best.number,
        start_top1=probe.curve[0].val_top1,
        start_macro_auroc=probe.curve[0].val_macro_auroc,
        val_top1=probe.best.val_top1,
        val_macro_auroc=probe.best.val_macro_auroc,
        seconds=time.perf_counter() - started,
    )


def fastest_pair() -> Pair:
    """Return the pair that computes embeddings fastest on this machine.

    By rule, not by a trial: OpenVINO was never slower than onnxruntime here, and bf16 where it
    is in hardware takes half the time and agrees in 99.5 % of answers (November 2026).
    """
    return min(usable_pairs(), key=lambda pair: _FASTEST_FIRST.index(pair.name))


def _train(config: TrainConfig, inputs: _Inputs, run: Run, work: Path) -> _Trained:
    manifest, rows, progress = inputs.manifest, inputs.rows, inputs.progress
    config = config.resolved()
    run.log_params({**config.words(), "manifest_id": manifest.manifest_id})
    work.mkdir(parents=True, exist_ok=True)
    labels = check_trainable(rows)
    view = backbone(config.model).view(manifest.short_side_px)
    clock = _Clock()
    network, weights_sha256 = make_network(config.model, labels, weights=inputs.weights)
    features_id = features_sha256(network.features)
    clock.lap("load")
    key = EmbeddingKey(
        features_sha256=features_id,
        view=view,
        pair=inputs.pair,
        decoder=manifest.decoder,
        step=manifest.step,
    )
    embeddings = EmbeddingCache(inputs.cache / "embeddings")

    def open_network() -> Session:
        graphs = inputs.cache / "graphs"
        graph = features_graph(graphs, network.features, config.model, features_id)
        return open_session(graph, inputs.pair)

    features_ND = embed(
        rows, inputs.pixels, open_network, key=key, cache=embeddings, progress=progress
    )
    clock.lap("embed")
    sides = _sides(rows, labels, features_ND)
    probe = _train_head(network, labels, sides, config=config, work=work, progress=progress)
    clock.lap("train")
    info = CandidateInfo(
        backbone=config.model,
        labels=labels,
        view=view,
        recipe=config.recipe,
        config=config.words(),
        manifest_id=manifest.manifest_id,
        run_id=run.run_id,
        weights_sha256=weights_sha256,
        seed=config.seed,
        git_revision=git_revision(),
    )
    _report(run, probe, sides[Split.VALIDATION], labels, work)
    clock.lap("report")
    run.log_metrics([Metric(f"seconds_{name}", value) for name, value in clock.laps.items()])
    return _Trained(
        network=network,
        info=info,
        probe=probe,
        train_photos=len(sides[Split.TRAIN].labels),
        validation_photos=len(sides[Split.VALIDATION].labels),
    )


def _train_head(
    network: DogNet,
    labels: Sequence[str],
    sides: Mapping[Split, Labelled],
    *,
    config: TrainConfig,
    work: Path,
    progress: Progress,
) -> ProbeResult:
    """Train the network's breed head in place."""
    means_KD = _class_means(sides[Split.TRAIN], len(labels))
    weight_KD, bias_K = start_rows(network.imagenet_head, labels, torch.from_numpy(means_KD))
    _set_head(network, weight_KD, bias_K)
    probe = train_probe(
        network.breed_head,
        sides[Split.TRAIN],
        sides[Split.VALIDATION],
        config=config,
        work=work,
        progress=progress,
    )
    _set_head(network, torch.from_numpy(probe.weight), torch.from_numpy(probe.bias))
    return probe


def _set_head(network: DogNet, weight_KD: torch.Tensor, bias_K: torch.Tensor) -> None:
    with torch.no_grad():
        network.breed_head.weight.copy_(weight_KD)
        network.breed_head.bias.copy_(bias_K)


def _sides(
    rows: Sequence[ManifestRow], labels: Sequence[str], features_ND: np.ndarray
) -> dict[Split, Labelled]:
    index = {label: k for k, label in enumerate(labels)}
    labels_N = np.array([index[row.breed] for row in rows], np.int64)
    split_N = np.array([row.split.value for row in rows])
    return {
        split: Labelled(
            features=np.ascontiguousarray(features_ND[split_N == split.value]),
            labels=labels_N[split_N == split.value],
        )
        for split in (Split.TRAIN, Split.VALIDATION)
    }


def _class_means(side: Labelled, n_labels: int) -> np.ndarray:
    sums_KD = np.zeros((n_labels, side.features.shape[1]), np.float32)
    np.add.at(sums_KD, side.labels, side.features)
    counts_K = np.bincount(side.labels, minlength=n_labels)
    return np.asarray(sums_KD / counts_K[:, None], np.float32)


def _report(
    run: Run, probe: ProbeResult, validation: Labelled, labels: Sequence[str], work: Path
) -> None:
    """Tell the tracker the curve, the winner and the pictures."""
    names = ("train_loss", "train_top1", "val_loss", "val_top1", "val_macro_auroc")
    curve = [Metric(n, getattr(e, n), e.number) for e in probe.curve for n in names]
    best = [Metric(f"best_{name}", getattr(probe.best, name)) for name in names]
    run.log_metrics([*curve, *best, Metric("best_epoch", probe.best.number)])
    answers_N = probe.val_logits.argmax(axis=1)
    counts_KK = confusion_counts(validation.labels, answers_N, len(labels))
    run.log_file(draw_curve(probe.curve, probe.best, work / "curve.png"), "charts")
    run.log_file(draw_confusion(counts_KK, labels, work / "confusion.png"), "charts")


def _run_name(config: TrainConfig) -> str:
    return f"{config.model}-{config.recipe}-{config.seed}"


def _tags(manifest: Manifest) -> dict[str, str]:
    return {
        "manifest_id": manifest.manifest_id,
        "git_revision": git_revision(),
        "doggo_version": __version__,
    }


class _Clock:
    """Seconds of each step, one after another."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now
