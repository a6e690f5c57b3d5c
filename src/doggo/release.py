"""From a candidate to production: export, evaluate, register, and ask the gate.

Owns the joints between those stages; every way that makes a model ends here. Heavy stages are
imported where they run, so that reading about them costs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from doggo.alongside import Libraries, Meanwhile
from doggo.core.errors import BundleError, GateError, StorageError
from doggo.core.progress import Progress, silent
from doggo.core.records import Manifest, ManifestRow, Origin, Split
from doggo.evaluate.evaluation import UNSEEN, Learned
from doggo.registry import sync
from doggo.registry.card import DATA_LICENCE, WEIGHTS_LICENCE
from doggo.registry.compare import Dataset
from doggo.registry.run import promote, register
from doggo.results import Released
from doggo.scored import Scored, why_untested
from doggo.storage.audit import Action, Move
from doggo.storage.buckets import Bucket
from doggo.storage.shards import PixelReader
from doggo.stores import Stores, work_folder
from doggo.timings import Spans, Stopwatch
from doggo.vision.bundle import NETWORK_FILE, parse_bundle, read_bundle, read_validation
from doggo.vision.runtime import OpenNetworks

if TYPE_CHECKING:
    from doggo.evaluate.kept import KeptFeatures
    from doggo.evaluate.labelled import LabelledPhoto
    from doggo.train.config import TrainConfig
    from doggo.vision.predictor import Predictor


@dataclass(kw_only=True)
class Release:
    """One model on its way to production.

    Attributes:
        ask_gate: ask the gate at the end; else the version is only registered.
        accept_labels: let the set of breeds change.
    """

    stores: Stores
    ask_gate: bool = True
    accept_labels: bool = False
    progress: Progress = silent
    watch: Stopwatch = field(default_factory=Stopwatch)
    libraries: Libraries = field(init=False)
    networks: OpenNetworks = field(init=False)

    def __post_init__(self) -> None:
        self.libraries = Libraries(self.stores.tracker)
        self.networks = OpenNetworks()

    def open_early(self, config: TrainConfig) -> None:
        """Do what training will begin with while libraries load or photos are decoded."""
        from doggo.train.config import PROBE
        from doggo.train.embedding import open_early

        if config.recipe != PROBE:
            return
        open_early(
            config,
            cache=self.stores.embeddings,
            runtime=self.stores.forced_runtime,
            weights=self.stores.weights,
            open_network=self.networks,
        )

    def train(self, config: TrainConfig, manifest: Manifest) -> Released:
        """Train on all photos of a dataset and release the model.

        The same dataset with the same options is not trained twice: the version that it made
        is returned, and goes to the gate if it never was in production.
        """
        made = self._made_before(config, manifest)
        if made is not None:
            return self._finish(made, already=True)
        pixels = PixelReader(self.stores.processed)
        with self.libraries, work_folder(self.stores) as work:
            with self.watch.stage("load"):
                self.libraries.wait_for_networks(partial(self.open_early, config))
            pixels.fetch(manifest.rows, self.progress)
            with self._embedded(config, manifest, pixels) as meanwhile:
                candidate = self._train(config, manifest, pixels, work / "candidate")
                bundle = self._export(candidate, work / "bundle", manifest, meanwhile.stop)
            return self._release(bundle, manifest)

    def _embedded(self, config: TrainConfig, manifest: Manifest, pixels: PixelReader) -> Meanwhile:
        """Return what may be done beside training, once its embeddings are in the cache."""
        from doggo.train.config import PROBE
        from doggo.train.embedding import embed_dataset, reference_parts

        if config.recipe != PROBE:
            return Meanwhile(iter(()))
        with self.watch.stage("embed"):
            body = embed_dataset(
                config,
                manifest,
                pixels=pixels,
                cache=self.stores.embeddings,
                runtime=self.stores.forced_runtime,
                weights=self.stores.weights,
                open_network=self.networks,
                progress=self.progress,
            )
        return Meanwhile(reference_parts(body))

    def _train(
        self, config: TrainConfig, manifest: Manifest, pixels: PixelReader, work: Path
    ) -> Path:
        with self.watch.stage("load"):
            self.libraries.wait()
        from doggo.train.run import train

        spans = Spans(self.progress)
        with self.watch.stage("train"):
            candidate = train(
                config,
                manifest,
                pixels=pixels,
                cache=self.stores.embeddings,
                tracker=self.stores.tracker,
                work=work,
                runtime=self.stores.forced_runtime,
                weights=self.stores.weights,
                embed_s=self.watch.seconds("embed"),
                progress=spans,
            )
        self.watch.timings += spans.parts("activations")
        return candidate

    def bootstrap(self, model: str, manifest: Manifest | None) -> Released:
        """Release the model that needs no training; the gate is asked if nothing is there yet."""
        from doggo.train.bootstrap import bootstrap_candidate

        short_side_px = manifest.short_side_px if manifest else None
        with work_folder(self.stores) as work:
            with self.watch.stage("bootstrap"):
                candidate = bootstrap_candidate(
                    model,
                    work / "candidate",
                    short_side_px=short_side_px,
                    weights=self.stores.weights,
                )
            bundle = self._export(candidate, work / "bundle", manifest)
            self.ask_gate = self.ask_gate and self.stores.bundles.production() is None
            return self._release(bundle, manifest, action=Action.BOOTSTRAP)

    def _export(
        self,
        candidate: Path,
        out: Path,
        manifest: Manifest | None,
        before_measuring: Callable[[], None] = lambda: None,
    ) -> Path:
        from doggo.export.run import export

        with self.watch.stage("export"):
            return export(
                candidate,
                out,
                manifest=manifest,
                pixels=PixelReader(self.stores.processed) if manifest else None,
                cache=self.stores.embeddings,
                open_network=self.networks,
                before_measuring=before_measuring,
                progress=self.progress,
            )

    def _release(
        self, folder: Path, manifest: Manifest | None, action: Action = Action.PROMOTE
    ) -> Released:
        scored: Scored | None = None
        metrics = validation_metrics(folder, manifest)
        untested = why_untested(parse_bundle(folder).labels, manifest)
        if manifest is not None and untested is None:
            with self.watch.stage("evaluate"):
                scored = self._score(folder, manifest)
            metrics |= {f"test_{name}": value for name, value in scored.headline.items()}
        version = register(
            self.stores.bundles,
            folder,
            metrics=metrics,
            report=str(scored.report) if scored else None,
        )
        return self._finish(version, scored=scored, untested=untested, action=action)

    def _score(self, folder: Path, manifest: Manifest) -> Scored:
        from doggo.vision.predictor import Predictor

        predictor = Predictor.load(folder, pair=self.stores.forced_pair, open_network=self.networks)
        return score(
            predictor,
            test_photos(self.stores, manifest, self.progress),
            data=f"the test split of dataset {manifest.manifest_id}",
            out=self.stores.reports / f"{predictor.model.sha256[:16]}.html",
            kept=self._kept(folder, predictor),
            progress=self.progress,
        )

    def _kept(self, folder: Path, predictor: Predictor) -> KeptFeatures | None:
        from doggo.evaluate.kept import kept_features
        from doggo.vision.embeddings import EmbeddingCache

        cache = EmbeddingCache(self.stores.embeddings / "embeddings")
        return kept_features(folder / NETWORK_FILE, predictor, cache)

    def _finish(
        self,
        version: int,
        *,
        scored: Scored | None = None,
        untested: str | None = None,
        action: Action = Action.PROMOTE,
        already: bool = False,
    ) -> Released:
        stores = self.stores
        pointer = stores.bundles.production()
        moves = stores.bundles.audit()
        decision = why_out(version, moves)
        if self.ask_gate and not any(move.to_version == version for move in moves):
            with self.watch.stage("gate"):
                decision = self._ask(version, action)
            pointer = stores.bundles.production()
        with self.watch.stage("registry mirror"):
            mirror(stores)
        return Released(
            version=version,
            name=parse_bundle(stores.bundles.papers(version)).name,
            promoted=pointer is not None and pointer.version == version,
            decision=decision,
            scored=scored,
            untested=untested,
            timings=self.watch.timings,
            already=already,
        )

    def _ask(self, version: int, action: Action) -> Sequence[str]:
        try:
            decision = promote(
                self.stores.bundles,
                version,
                dataset=dataset(self.stores),
                why="bootstrap" if action is Action.BOOTSTRAP else "trained and passed the gate",
                action=action,
                accept_labels=self.accept_labels or self._only_bootstrap(),
                pair=self.stores.forced_pair,
                open_network=self.networks,
                progress=self.progress,
            )
        except GateError as error:
            return (f"the gate refused version {version}:", *(f"  - {r}" for r in error.reasons))
        return decision.to_text().splitlines()

    def _only_bootstrap(self) -> bool:
        """Whether production is a bootstrap model: the owner's own breeds may replace its 120."""
        pointer = self.stores.bundles.production()
        if pointer is None:
            return False
        return parse_bundle(self.stores.bundles.papers(pointer.version)).recipe == "bootstrap"

    def _made_before(self, config: TrainConfig, manifest: Manifest) -> int | None:
        words = config.resolved().words()
        for version in reversed(self.stores.bundles.versions()):
            try:
                bundle = parse_bundle(self.stores.bundles.papers(version))
                if bundle.manifest_id != manifest.manifest_id or dict(bundle.config) != words:
                    continue
                read_bundle(self.stores.bundles.folder(version))
            except BundleError:
                continue  # damaged: making it again is right
            return version
        return None


def why_out(version: int, moves: Sequence[Move]) -> Sequence[str]:
    """Return in one line how a version that was in production left it; nothing if it did not.

    Args:
        moves: the audit, oldest first.
    """
    left = next((move for move in reversed(moves) if move.from_version == version), None)
    if left is None or moves[-1].to_version == version:
        return ()
    how = (
        f"it was rolled back by {left.actor}"
        if left.action is Action.ROLLBACK
        else f"version {left.to_version} took its place"
    )
    return (
        f"{how} at {left.at} ({left.why}); version {moves[-1].to_version} answers: "
        f"`doggo models promote {version}` puts this one back",
    )


def score(
    predictor: Predictor,
    photos: Sequence[LabelledPhoto],
    *,
    data: str,
    out: Path,
    kept: KeptFeatures | None = None,
    learned: Learned | None = UNSEEN,
    progress: Progress = silent,
) -> Scored:
    """Score a model on labelled photos and write the report and its JSON beside it.

    Args:
        kept, learned: see `evaluate.run.evaluate`.
    """
    from doggo.evaluate.report import write_report
    from doggo.evaluate.run import evaluate

    evaluation = evaluate(
        predictor,
        photos,
        data=data,
        licences=(DATA_LICENCE, WEIGHTS_LICENCE),
        kept=kept,
        learned=learned,
        progress=progress,
    )
    write_report(evaluation, out, photos)
    out.with_suffix(".json").write_bytes(evaluation.to_json())
    return Scored(
        version=predictor.model.version or None,
        data=data,
        photos=len(photos),
        headline=evaluation.headline(),
        report=out,
        learned=learned,
        caveats=evaluation.caveats,
        unknown_breeds={
            unknown.breed: unknown.named + unknown.unsure + unknown.not_a_dog
            for unknown in evaluation.unknown_breeds
        },
    )


def test_photos(stores: Stores, manifest: Manifest, progress: Progress) -> list[LabelledPhoto]:
    """Return the test side of a dataset as raw bytes to be read one by one.

    A photo is `found_at` the owner's own file, so that a wrong label can be mended there.
    """
    from doggo.evaluate.labelled import LabelledPhoto

    stores.raw.fetch([row.raw_key for row in manifest.of(Split.TEST)], progress)
    sources = stores.photos.added_sources(Origin.OWNER)
    path_by_id = {source.photo_id: source.path for source, _ in sources}
    return [
        LabelledPhoto(
            photo_id=row.photo_id,
            breed=row.breed,
            found_at=path_by_id.get(row.photo_id, row.raw_uri),
            may_be_shown=row.may_be_shown,
            read=partial(_read_raw, stores.raw, row),
        )
        for row in manifest.of(Split.TEST)
    ]


def dataset(stores: Stores) -> Dataset | None:
    """Return the newest dataset and its pixels, None before the first preprocess."""
    from doggo.storage import manifests

    if manifests.latest_id(stores.processed) is None:
        return None
    return Dataset(
        manifest=manifests.load(stores.processed),
        pixels=PixelReader(stores.processed),
        read_raw=partial(_read_raw, stores.raw),
    )


def mirror(stores: Stores) -> None:
    """Show every version and the production pointer in the tracker's registry."""
    sync.mirror(stores.bundles, stores.tracker)


def validation_metrics(folder: Path, manifest: Manifest | None) -> dict[str, float]:
    """Return top-1 on the validation side, from the answers that export sealed."""
    answers = read_validation(folder).answers
    rows = (
        [row for row in manifest.of(Split.VALIDATION) if row.photo_id in answers]
        if manifest
        else []
    )
    if not rows:
        return {}
    hits = sum(answers[row.photo_id].breed == row.breed for row in rows)
    return {"validation_top1": hits / len(rows), "validation_photos": len(rows)}


def _read_raw(raw: Bucket, row: ManifestRow) -> bytes:
    data = raw.read(row.raw_key)
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise StorageError(f"{row.raw_uri} was altered since intake")
    return data
