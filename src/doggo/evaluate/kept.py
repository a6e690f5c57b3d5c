"""Features of photos that the same body computed in an earlier evaluation.

Owns their key, and how far they are believed. A probe changes nothing but a network's heads, so
after a hundred new photos nearly all of the test side would go through the same body once more.

Legend: N photos, D features.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggo.nets.cut import cut
from doggo.vision.bundle import PARITY_TOLERANCE
from doggo.vision.embeddings import EmbeddingCache, EmbeddingKey
from doggo.vision.photo import decoder_name
from doggo.vision.predictor import Predictor
from doggo.vision.runtime import Session, open_session
from doggo.vision.step import step_name
from doggo.vision.verdict import Evidence

F32 = NDArray[np.float32]

CHECKED = 64
"""Photos with kept features that are answered from their bytes nevertheless, drawn anew for each
model."""


@dataclass(frozen=True, kw_only=True)
class KeptFeatures:
    """The features of one body, on one runtime, for photos by their id."""

    predictor: Predictor
    heads: Session
    cache: EmbeddingCache
    key: EmbeddingKey

    def load(self, photo_ids: Collection[str]) -> dict[str, F32]:
        """Return the kept features [D] among these photos."""
        return self.cache.load(self.key, list(photo_ids))

    def to_check(self, photo_ids: Collection[str]) -> set[str]:
        """Return which of these are to be answered from their bytes: at most `CHECKED`."""
        draw = random.Random(self.predictor.model.sha256)
        return set(draw.sample(sorted(photo_ids), min(CHECKED, len(photo_ids))))

    def evidence(self, features: Sequence[F32]) -> list[Evidence]:
        """Return what the predictor's heads say of each photo."""
        return self.predictor.evidence(self.heads.run(np.stack(features)))

    def agree(self, kept: Mapping[str, F32], seen: Mapping[str, Evidence]) -> bool:
        """Return whether kept features give the evidence that the photos' bytes gave."""
        both = [photo_id for photo_id in seen if photo_id in kept]
        if not both:
            return True
        again = self.evidence([kept[photo_id] for photo_id in both])
        differences = [seen[i].difference(found) for i, found in zip(both, again, strict=True)]
        return max(differences) <= PARITY_TOLERANCE

    def keep(self, features: Mapping[str, F32]) -> None:
        """Keep what was computed from photos' bytes.

        Raises:
            StorageError: the disk refuses.
        """
        if features:
            self.cache.append(self.key, list(features), np.stack(list(features.values())))


def kept_features(
    network: Path, predictor: Predictor, cache: EmbeddingCache
) -> KeptFeatures | None:
    """Return the kept features of a predictor's network; None if it does not give any.

    Args:
        network: its ONNX file.
    """
    parts = cut(network)
    if parts is None:
        return None
    return KeptFeatures(
        predictor=predictor,
        heads=open_session(parts.heads, predictor.pair),
        cache=cache,
        key=EmbeddingKey(
            features_sha256=parts.body_sha256,
            view=predictor.bundle.view,
            pair=predictor.pair,
            decoder=decoder_name(),
            step=step_name(),
        ),
    )
