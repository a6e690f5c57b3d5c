"""From a sealed bundle to production: evaluate, register, and ask the gate.

Owns the order of those stages, and when nothing needs to be made because it was made before. How
a bundle is made is in `making.py`; every way that makes one ends here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from doggo.core.errors import BundleError, GateError
from doggo.core.progress import Progress, silent
from doggo.core.records import Manifest, Split
from doggo.making import Making
from doggo.nets.names import resize_px
from doggo.production import dataset, mirror, why_out
from doggo.registry.run import promote, register
from doggo.results import Released
from doggo.scored import Scored, why_untested
from doggo.scoring import score, test_photos
from doggo.storage.audit import Action, Move
from doggo.storage.bundles import BundleStore
from doggo.stores import Stores, work_folder
from doggo.timings import Stopwatch
from doggo.vision.bundle import NETWORK_FILE, parse_bundle, read_bundle, read_validation

if TYPE_CHECKING:
    from doggo.evaluate.kept import KeptFeatures
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
    making: Making = field(init=False)

    def __post_init__(self) -> None:
        self.making = Making(stores=self.stores, progress=self.progress, watch=self.watch)

    def train(self, config: TrainConfig, manifest: Manifest) -> Released:
        """Train on all photos of a dataset and release the model.

        The same dataset with the same options is not trained twice: the version that it made
        is returned, and goes to the gate if it never was in production.
        """
        made = made_before(self.stores.bundles, manifest.manifest_id, config.resolved().words())
        if made is not None:
            return self._finish(made, already=True)
        with self.making.libraries, work_folder(self.stores) as work:
            return self._release(self.making.train(config, manifest, work), manifest)

    def bootstrap(self, model: str, manifest: Manifest | None) -> Released:
        """Release the model that needs no training; the gate is asked if nothing is there yet.

        Photos that are smaller than the network needs can neither calibrate nor test it.
        """
        untested = None
        if manifest is not None and manifest.short_side_px < (needed_px := resize_px(model)):
            untested = (
                f"the dataset has photos of {manifest.short_side_px} px, {model} needs "
                f"{needed_px}: `doggo preprocess --short-side {needed_px}`"
            )
            manifest = None
        with work_folder(self.stores) as work:
            bundle = self.making.bootstrap(model, manifest, work)
            self.ask_gate = self.ask_gate and self.stores.bundles.production() is None
            return self._release(bundle, manifest, untested=untested, action=Action.BOOTSTRAP)

    def _release(
        self,
        folder: Path,
        manifest: Manifest | None,
        *,
        untested: str | None = None,
        action: Action = Action.PROMOTE,
    ) -> Released:
        scored: Scored | None = None
        metrics = validation_metrics(folder, manifest)
        untested = untested or why_untested(parse_bundle(folder).labels, manifest)
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

        predictor = Predictor.load(
            folder, pair=self.stores.forced_pair, open_network=self.making.networks
        )
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

        cache = EmbeddingCache(self.stores.model_cache)
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
        stores, refused = self.stores, False
        moves = stores.bundles.history().moves
        decision = why_out(version, moves)
        if self.ask_gate and not self._has_served(version, moves):
            with self.watch.stage("gate"):
                try:
                    decision = self._ask(version, action)
                except GateError as error:
                    reasons = (f"  - {reason}" for reason in error.reasons)
                    decision = (f"the gate refused version {version}:", *reasons)
                    refused = True
        pointer = stores.bundles.production()
        with self.watch.stage("registry mirror"):
            mirror(stores)
        return Released(
            version=version,
            name=parse_bundle(stores.bundles.papers(version)).name,
            promoted=pointer is not None and pointer.version == version,
            refused=refused,
            decision=decision,
            scored=scored,
            untested=untested,
            timings=self.watch.timings,
            already=already,
        )

    def _has_served(self, version: int, moves: Sequence[Move]) -> bool:
        pointer = self.stores.bundles.production()
        serves = pointer is not None and pointer.version == version
        return serves or any(move.to_version == version for move in moves)

    def _ask(self, version: int, action: Action) -> Sequence[str]:
        decision = promote(
            self.stores.bundles,
            version,
            dataset=dataset(self.stores),
            why="bootstrap" if action is Action.BOOTSTRAP else "trained and passed the gate",
            action=action,
            accept_labels=self.accept_labels,
            pair=self.stores.forced_pair,
            open_network=self.making.networks,
            progress=self.progress,
        )
        return decision.to_text().splitlines()


def made_before(bundles: BundleStore, manifest_id: str, words: Mapping[str, object]) -> int | None:
    """Return the newest whole version that a dataset and these options of training made."""
    for version in reversed(bundles.versions()):
        try:
            bundle = parse_bundle(bundles.papers(version))
            if bundle.manifest_id != manifest_id or dict(bundle.config) != words:
                continue
            read_bundle(bundles.folder(version))
        except BundleError:
            continue  # damaged: making it again is right
        return version
    return None


def validation_metrics(folder: Path, manifest: Manifest | None) -> dict[str, float]:
    """Return top-1 on the validation side, from the answers that export sealed."""
    answers = read_validation(folder).answers
    validation = manifest.of(Split.VALIDATION) if manifest else ()
    rows = [row for row in validation if row.photo_id in answers]
    if not rows:
        return {}
    hits = sum(answers[row.photo_id].breed == row.breed for row in rows)
    return {"validation_top1": hits / len(rows), "validation_photos": len(rows)}
