"""What a frozen body sees in a dataset's photos: computed before a head is trained on it.

Owns the joint between a network's body, its ONNX graph and the cache of embeddings. Imports
neither Lightning nor the tracker, so that the long work can begin while those are loading.

Legend: N photos, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggo.core.progress import Progress, silent
from doggo.core.records import Manifest, ManifestRow, Split
from doggo.nets.backbones import backbone
from doggo.nets.features_graph import features_graph
from doggo.nets.network import FeatureNet, features_sha256, make_features
from doggo.train.config import TrainConfig
from doggo.train.sample import check_trainable, sample
from doggo.vision.embeddings import EmbeddingCache, EmbeddingKey, Pixels, embed
from doggo.vision.pairs import REFERENCE, Pair, pair_or_fastest
from doggo.vision.runtime import Opener, Session, open_session
from doggo.vision.view import View

F32 = NDArray[np.float32]

_PART = 64  # photos of half a second of one core


@dataclass(frozen=True, kw_only=True)
class Body:
    """A frozen body and where what it sees is kept.

    Attributes:
        name: of the backbone.
        view: what it is fed.
        cache: folder for what can be computed again.
        open_network: loads its graph, or knows it already.
    """

    name: str
    features: FeatureNet
    view: View
    manifest: Manifest
    pixels: Pixels
    cache: Path
    open_network: Opener = open_session

    def embed(
        self,
        rows: Sequence[ManifestRow],
        pair: Pair,
        *,
        threads: int = 0,
        progress: Progress = silent,
    ) -> F32:
        """Return the embeddings float32 [N, D] of some photos; see `vision.embeddings.embed`.

        Args:
            threads: requests computed at once; 0: one a core.
        """
        sha256 = features_sha256(self.features)

        def open_graph() -> Session:
            graph = features_graph(self.cache / "graphs", self.features, self.name, sha256)
            return self.open_network(graph, pair, threads)

        key = EmbeddingKey(
            features_sha256=sha256,
            view=self.view,
            pair=pair,
            decoder=self.manifest.decoder,
            step=self.manifest.step,
        )
        return embed(
            rows,
            self.pixels,
            open_graph,
            key=key,
            cache=EmbeddingCache(self.cache),
            progress=progress,
        )


def embed_dataset(
    config: TrainConfig,
    manifest: Manifest,
    *,
    pixels: Pixels,
    cache: Path,
    runtime: str = "",
    weights: Path | None = None,
    open_network: Opener = open_session,
    progress: Progress = silent,
) -> Body:
    """Compute the embeddings that training on a whole dataset will find in the cache.

    Args, errors and side effects are those of `train.run.train`.

    Args:
        open_network: loads the body's graph, or knows it from `open_early`.
    """
    rows = sample(manifest.rows, n_labels=None, n_samples=None, seed=config.seed)
    check_trainable(rows)
    view = backbone(config.model).view(manifest.short_side_px, config.input_size)
    body = Body(
        name=config.model,
        features=make_features(config.model, weights=weights),
        view=view,
        manifest=manifest,
        pixels=pixels,
        cache=cache,
        open_network=open_network,
    )
    body.embed(rows, pair_or_fastest(runtime), progress=progress)
    return body


def open_early(
    config: TrainConfig,
    *,
    cache: Path,
    runtime: str = "",
    weights: Path | None = None,
    open_network: Opener,
) -> None:
    """Do what embedding begins with before there is a dataset: write and open the body's graph.

    Args, errors and side effects are those of `embed_dataset`.
    """
    features = make_features(config.model, weights=weights)
    sha256 = features_sha256(features)
    graph = features_graph(cache / "graphs", features, config.model, sha256)
    session = open_network(graph, pair_or_fastest(runtime))
    size_px = backbone(config.model).size_px
    session.run(np.zeros((session.threads + 1, size_px, size_px, 3), np.uint8))


def reference_parts(body: Body) -> Iterator[None]:
    """Embed half of the validation photos on the reference runtime, a part at each step.

    Export will want them, by id, to tell what half precision costs; half are nearly always
    enough. One thread computes.
    """
    rows = sorted(body.manifest.of(Split.VALIDATION), key=lambda row: row.photo_id)
    rows = rows[: -(-len(rows) // 2)]
    for start in range(0, len(rows), _PART):
        body.embed(rows[start : start + _PART], REFERENCE, threads=1)
        yield
