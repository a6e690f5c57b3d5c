"""From a dataset, or from none, to a sealed bundle: embed, train, export.

Owns what these stages share while one model is made: its libraries, its open networks, its clock.
Heavy stages are imported where they run, so that reading about them costs nothing. Knows nothing
of versions or of production (`release.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from doggo.alongside import Libraries, Meanwhile
from doggo.core.progress import Progress, silent
from doggo.core.records import Manifest
from doggo.storage.shards import PixelReader
from doggo.stores import Stores
from doggo.timings import Spans, Stopwatch
from doggo.vision.runtime import OpenNetworks

if TYPE_CHECKING:
    from doggo.train.config import TrainConfig


@dataclass(kw_only=True)
class Making:
    """One model being made.

    Attributes:
        libraries: enter them around `train`; they may be begun before it.
        networks: those that training opened, for whoever runs the model next.
    """

    stores: Stores
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
            cache=self.stores.model_cache,
            runtime=self.stores.forced_runtime,
            weights=self.stores.weights,
            open_network=self.networks,
        )

    def train(self, config: TrainConfig, manifest: Manifest, work: Path) -> Path:
        """Return the bundle of a model that was trained on all photos of a dataset, in `work`."""
        pixels = PixelReader(self.stores.processed)
        with self.watch.stage("load"):
            self.libraries.wait_for_networks(partial(self.open_early, config))
        pixels.fetch(manifest.rows, self.progress)
        with self._embedded(config, manifest, pixels) as meanwhile:
            candidate = self._trained(config, manifest, pixels, work / "candidate")
            return self._exported(candidate, work / "bundle", manifest, meanwhile.stop)

    def bootstrap(self, model: str, manifest: Manifest | None, work: Path) -> Path:
        """Return the bundle of the model that needs no training, in `work`."""
        from doggo.train.bootstrap import bootstrap_candidate

        with self.watch.stage("bootstrap"):
            candidate = bootstrap_candidate(
                model,
                work / "candidate",
                short_side_px=manifest.short_side_px if manifest else None,
                weights=self.stores.weights,
            )
        return self._exported(candidate, work / "bundle", manifest)

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
                cache=self.stores.model_cache,
                runtime=self.stores.forced_runtime,
                weights=self.stores.weights,
                open_network=self.networks,
                progress=self.progress,
            )
        return Meanwhile(reference_parts(body))

    def _trained(
        self, config: TrainConfig, manifest: Manifest, pixels: PixelReader, out: Path
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
                cache=self.stores.model_cache,
                tracker=self.stores.tracker,
                work=out,
                runtime=self.stores.forced_runtime,
                weights=self.stores.weights,
                embed_s=self.watch.seconds("embed"),
                progress=spans,
            )
        self.watch.timings += spans.parts("activations")
        return candidate

    def _exported(
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
                cache=self.stores.model_cache,
                open_network=self.networks,
                before_measuring=before_measuring,
                progress=self.progress,
            )
