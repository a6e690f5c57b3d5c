"""The product on one screen: the stages, in order.

    intake -> preprocess -> train -> export -> evaluate -> register -> gate -> production

Owns the order and the joints between the stages, which do not know one another. Each stage
resumes by itself; going the whole way again does only what is new. How a model is
made is in `making.py`, how it gets into production in `release.py`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from doggo.core.errors import InputError, StorageError
from doggo.core.progress import Progress, silent
from doggo.core.records import Manifest, Origin
from doggo.release import Release
from doggo.results import Prepared, Released, RunResult, intake_text, nothing_usable
from doggo.scored import Scored
from doggo.scoring import json_beside, labelled_folder, score, test_photos
from doggo.storage import manifests
from doggo.stores import Stores
from doggo.timings import Stopwatch
from doggo.vision.limits import DEFAULT_SHORT_SIDE_PX

if TYPE_CHECKING:
    from doggo.intake.report import IntakeReport
    from doggo.preprocess.diff import ManifestDiff
    from doggo.train.grid_result import GridResult
    from doggo.train.run import ExperimentResult


log = logging.getLogger(__name__)


def run(
    stores: Stores,
    paths: Sequence[Path | str],
    *,
    labels: Path | None = None,
    stanford_lists: Path | None = None,
    model: str = "efficientnet_lite0",
    seed: int = 42,
    accept_labels: bool = False,
    progress: Progress = silent,
) -> RunResult:
    """Go the whole way from folders of photos to a model in production, in this process.

    Raises:
        UsageError: there is no such model; nothing was taken in.
        InputError: none of the files can be used and there is no photo of an earlier intake, or
            the photos cannot make a model.
    """
    from doggo.nets.names import check_model
    from doggo.train.config import TrainConfig

    watch, config = Stopwatch(), TrainConfig(model=model, seed=seed)
    check_model(config.model)
    release = Release(stores=stores, accept_labels=accept_labels, watch=watch, progress=progress)
    with release.making.libraries as libraries:
        telling = progress
        if not stores.photos.ledger.has_sources():  # a later intake may bring nothing new
            telling = libraries.load_beside(progress, partial(release.making.open_early, config))
        with watch.stage("intake"):
            report = take_in(stores, paths, labels=labels, progress=telling)
            _check_usable(stores, report, paths)
        with watch.stage("preprocess"):
            prepared = prepare(
                stores,
                short_side_px=short_side_for(stores, config.model),
                stanford_lists=stanford_lists,
                seed=seed,
                progress=telling,
            )
        released = release.train(config, prepared.manifest)
    return RunResult(
        intake=dict(report.to_json()),
        intake_text=intake_text(report),
        is_repeat=report.is_repeat,
        prepared=prepared,
        released=released,
        timings=watch.timings,
    )


def _check_usable(stores: Stores, report: IntakeReport, paths: Sequence[Path | str]) -> None:
    came = report.added or report.relabelled or report.already_present or report.exact_duplicates
    if not came and not stores.photos.used(Origin.OWNER):
        raise InputError(nothing_usable(report, paths))


def take_in(
    stores: Stores,
    paths: Sequence[Path | str],
    *,
    labels: Path | None = None,
    relabel: bool = False,
    progress: Progress = silent,
) -> IntakeReport:
    """Photos into the raw bucket, each one once."""
    from doggo.intake.run import intake

    before = _set_aside(stores)
    report = intake(
        paths,
        labels=labels,
        store=stores.photos,
        raw=stores.raw,
        spool=stores.spool,
        workers=stores.workers,
        relabel=relabel,
        open_source=stores.open_bucket,
        progress=progress,
    )
    news = report.added or report.relabelled or report.withdrawn or _set_aside(stores) != before
    report.is_repeat = not news and bool(report.already_present)
    return report


def _set_aside(stores: Stores) -> set[tuple[str, str, str | None]]:
    aside = stores.photos.ledger.quarantined()
    return {(source.source_sha256, source.breed, source.reason) for source in aside}


def prepare(
    stores: Stores,
    *,
    short_side_px: int = DEFAULT_SHORT_SIDE_PX,
    max_data: int | None = None,
    delete_local: bool = False,
    stanford_lists: Path | None = None,
    seed: int = 42,
    progress: Progress = silent,
) -> Prepared:
    """Raw photos into array shards and an immutable dataset manifest.

    Args:
        seed: of the split, if there is none yet: the seed of the first dataset stays.
    """
    from doggo.preprocess.run import preprocess

    before = _newest(stores)
    made = preprocess(
        store=stores.photos,
        raw=stores.raw,
        processed=stores.processed,
        spool=stores.spool,
        short_side_px=short_side_px,
        max_data=max_data,
        delete_local=delete_local,
        stanford_lists=stanford_lists,
        seed=before.seed if before else seed,
        workers=stores.workers,
        new=stores.new,
        progress=progress,
    )
    change = _change(stores, before, made.manifest) if before else None
    return Prepared(manifest=made.manifest, change=change, left_out=made.left_out)


def _newest(stores: Stores) -> Manifest | None:
    """Return the newest dataset; a damaged one is as good as none to who makes it anew."""
    try:
        return manifests.newest(stores.processed)
    except StorageError as error:
        log.warning("%s", error)
        return None


def short_side_for(stores: Stores, model: str) -> int:
    """Return the short side, px, of a dataset that a model needs.

    It is not less than the dataset has for another model: to go back and forth would decode
    every photo each time.

    Raises:
        UsageError: there is no such model.
    """
    from doggo.nets.names import resize_px

    newest = _newest(stores)
    return max(DEFAULT_SHORT_SIDE_PX, resize_px(model), newest.short_side_px if newest else 0)


def compare_datasets(stores: Stores, old_id: str, new_id: str | None = None) -> ManifestDiff:
    """Return how one dataset differs from another, by default the newest.

    Raises:
        InputError: there is no such dataset.
    """
    old = manifests.load(stores.processed, old_id)
    return _change(stores, old, manifests.load(stores.processed, new_id))


def _change(stores: Stores, old: Manifest, new: Manifest) -> ManifestDiff:
    from doggo.preprocess.diff import diff

    return diff(old, new, stores.photos.reasons())


def experiment(
    stores: Stores, options: Mapping[str, object], *, progress: Progress = silent
) -> ExperimentResult:
    """Train on a small sample; nothing is registered."""
    from doggo.nets.names import check_model
    from doggo.storage.shards import PixelReader
    from doggo.train.config import TrainConfig

    config, manifest = TrainConfig.from_json(options), manifests.load(stores.processed)
    check_model(config.model)
    from doggo.train import run as training  # seconds: only once the rest is known to be right

    return training.experiment(
        config,
        manifest,
        pixels=PixelReader(stores.processed),
        cache=stores.model_cache,
        tracker=stores.tracker,
        runtime=stores.forced_runtime,
        weights=stores.weights,
        progress=progress,
    )


def grid(
    stores: Stores,
    words: Sequence[str],
    options: Mapping[str, object],
    *,
    known: Collection[str],
    again: bool = False,
    progress: Progress = silent,
) -> GridResult:
    """Train on the same small sample with every combination of options, and compare them.

    Args:
        words: such as `lr=1e-4,1e-3`.
        options: the same at every point.
        known: names of the options that can be varied, if a run has them.

    Raises:
        UsageError: an option cannot be varied, or one of its values makes no point.
    """
    from doggo.nets.names import check_model
    from doggo.storage.shards import PixelReader
    from doggo.train.grid import check_values, parse_axes

    axes = parse_axes(words, known)
    check_values(axes, options)
    manifest = manifests.load(stores.processed)
    for model in axes.get("model", ()):
        check_model(str(model))
    from doggo.train.grid_run import run_grid  # seconds: only once the rest is known to be right

    return run_grid(
        axes,
        options,
        manifest,
        pixels=PixelReader(stores.processed),
        cache=stores.model_cache,
        tracker=stores.tracker,
        runtime=stores.forced_runtime,
        weights=stores.weights,
        again=again,
        progress=progress,
    )


def train(
    stores: Stores,
    options: Mapping[str, object],
    *,
    promote: bool = True,
    accept_labels: bool = False,
    progress: Progress = silent,
) -> Released:
    """Train on the newest dataset, export, evaluate, register, and ask the gate."""
    from doggo.train.config import TrainConfig

    release = Release(
        stores=stores, ask_gate=promote, accept_labels=accept_labels, progress=progress
    )
    return release.train(TrainConfig.from_json(options), manifests.load(stores.processed))


def bootstrap(
    stores: Stores,
    *,
    model: str = "efficientnet_lite0",
    promote: bool = True,
    progress: Progress = silent,
) -> Released:
    """A 120-breed model from packaged weights; calibrated on validation photos if there are."""
    release = Release(stores=stores, ask_gate=promote, accept_labels=True, progress=progress)
    return release.bootstrap(model, manifests.newest(stores.processed))


def evaluate_version(
    stores: Stores,
    *,
    version: int | None = None,
    photos: Path | None = None,
    labels: Path | None = None,
    out: Path | None = None,
    progress: Progress = silent,
) -> Scored:
    """Score a version (production by default) on the test side, or on a labelled folder.

    Raises:
        NoModelError: nothing is in production and no version was given.
        BundleError: the bundle was altered, or is not the one that production promises.
        InputError: there is no dataset and no folder, or the folder has no labelled photo.
        UsageError: `out` is called as the JSON beside it would be.
    """
    from doggo.evaluate.evaluation import UNSEEN, Learned
    from doggo.learned import learned_from
    from doggo.storage.registered import find_version, load_version

    if out is not None:
        json_beside(out)  # before anything is computed
    which = find_version(stores.bundles, version)
    predictor = load_version(stores.bundles, which, stores.forced_pair)
    unlabelled = 0
    learned: Learned | None = UNSEEN
    if photos is None:
        manifest = manifests.load(stores.processed)
        found = test_photos(stores, manifest, progress)
        data, kind = f"the test split of dataset {manifest.manifest_id}", manifest.manifest_id
    else:
        found, unlabelled = labelled_folder(photos, labels)
        data, kind = f"the folder {photos}", _name_of(photos, labels)
        ledger, processed = stores.photos.ledger, stores.processed
        bundle = stores.bundles.papers(which.version)
        learned = learned_from(bundle, found, ledger=ledger, processed=processed)
    name = f"{predictor.model.sha256[:16]}-{kind}.html"
    out = out or stores.reports / name
    scored = score(predictor, found, data=data, out=out, learned=learned, progress=progress)
    return replace(scored, unlabelled=unlabelled)


def _name_of(photos: Path, labels: Path | None) -> str:
    """Return a name for a labelled folder that a person recognises and no two of them share."""
    digest = hashlib.sha256(f"{photos.resolve()}\n{labels and labels.resolve()}".encode())
    return f"{photos.resolve().name}-{digest.hexdigest()[:8]}"
