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

from doggo.core.order import fair_order
from doggo.core.progress import Progress, silent
from doggo.core.records import Manifest, ManifestRow, Split
from doggo.nets.backbones import backbone
from doggo.nets.features_graph import features_graph
from doggo.nets.network import FeatureNet, features_sha256, make_network
from doggo.train.config import TrainConfig
from doggo.train.sample import check_trainable, sample
from doggo.vision.embeddings import EmbeddingCache, EmbeddingKey, Pixels, embed
from doggo.vision.runtime import REFERENCE, Pair, Session, fastest_pair, open_session
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
    """

    name: str
    features: FeatureNet
    view: View
    manifest: Manifest
    pixels: Pixels
    cache: Path

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

        def open_network() -> Session:
            graph = features_graph(self.cache / "graphs", self.features, self.name, sha256)
            return open_session(graph, pair, threads)

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
            open_network,
            key=key,
            cache=EmbeddingCache(self.cache / "embeddings"),
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
    progress: Progress = silent,
) -> Body:
    """Compute the embeddings that training on a whole dataset will find in the cache.

    Args, errors and side effects are those of `train.run.train`.
    """
    rows = sample(manifest.rows, n_labels=None, n_samples=None, seed=config.seed)
    labels = check_trainable(rows)
    view = backbone(config.model).view(manifest.short_side_px, config.input_size)
    network, _ = make_network(config.model, labels, weights=weights)
    body = Body(
        name=config.model,
        features=network.features,
        view=view,
        manifest=manifest,
        pixels=pixels,
        cache=cache,
    )
    body.embed(rows, Pair.parse(runtime) if runtime else fastest_pair(), progress=progress)
    return body


def reference_parts(body: Body) -> Iterator[None]:
    """Embed the validation photos on the reference runtime, a part at each step.

    Export will want them, to tell what half precision costs, the first in this order first. One
    thread computes.
    """
    rows = fair_order(body.manifest.of(Split.VALIDATION))
    for start in range(0, len(rows), _PART):
        body.embed(rows[start : start + _PART], REFERENCE, threads=1)
        yield
