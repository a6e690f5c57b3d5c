"""What a predictor says of labelled photos, in bulk.

Owns the reading of photos, their way through the network, and which of them need not go that way
because the same body saw them before. Knows nothing of figures.

Legend: N photos, K breeds, D features.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import PhotoError, StorageError
from doggo.core.progress import Progress
from doggo.core.records import QuarantineReason, Verdict
from doggo.evaluate.evaluation import NotScored
from doggo.evaluate.kept import KeptFeatures
from doggo.evaluate.labelled import LabelledPhoto, printable
from doggo.vision.ahead import prepared
from doggo.vision.predictor import Predictor
from doggo.vision.verdict import Evidence

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

_BATCH = 128

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A photo that was answered: probabilities float32 [K], before any threshold."""

    photo: LabelledPhoto
    probabilities: F32
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Answered:
    """All photos, in the order given.

    Attributes:
        recalled: photos whose features were kept from before and believed.
        ms_per_photo: wall time from bytes to answer, of the others.
    """

    items: Sequence[Answer | NotScored]
    recalled: int
    ms_per_photo: float


@dataclass(kw_only=True)
class _Seen:
    """What the network made of photos' bytes, by photo id; features [D] if it gives them."""

    evidence: dict[str, Evidence] = field(default_factory=dict)
    features: dict[str, F32] = field(default_factory=dict)


def answer_all(
    predictor: Predictor,
    photos: Sequence[LabelledPhoto],
    kept: KeptFeatures | None,
    progress: Progress,
) -> Answered:
    """Return what a predictor says of every photo.

    Args:
        kept: features of earlier evaluations: some of their photos are answered from their bytes
            nevertheless, and if one differs, all are. What is computed is kept there too.

    Raises:
        StorageError: features cannot be kept.
    """
    features = kept.load([photo.photo_id for photo in photos]) if kept else {}
    checked = kept.to_check(features) if kept else set()
    believed = {i: found for i, found in features.items() if i not in checked}
    answered, seen = _answer(predictor, photos, _recalled(kept, believed), progress)
    if kept and not kept.agree(
        features, {i: seen.evidence[i] for i in checked & set(seen.evidence)}
    ):
        log.warning("evaluate.kept_features_differ model=%s", predictor.model.sha256)
        answered, seen = _answer(predictor, photos, {}, progress)
    if kept:
        kept.keep({i: found for i, found in seen.features.items() if i not in features})
    return answered


def _recalled(kept: KeptFeatures | None, features: Mapping[str, F32]) -> dict[str, Evidence]:
    if kept is None or not features:
        return {}
    return dict(zip(features, kept.evidence(list(features.values())), strict=True))


def _answer(
    predictor: Predictor,
    photos: Sequence[LabelledPhoto],
    recalled: Mapping[str, Evidence],
    progress: Progress,
) -> tuple[Answered, _Seen]:
    started_s, seen = time.perf_counter(), _Seen()
    items: list[Answer | NotScored] = []
    for item in _each(predictor, photos, recalled, seen):
        items.append(item)
        progress("evaluate", len(items), len(photos))
    computed = max(1, len(photos) - len(recalled))
    ms_per_photo = 1000 * (time.perf_counter() - started_s) / computed
    return Answered(items=items, recalled=len(recalled), ms_per_photo=ms_per_photo), seen


def _each(
    predictor: Predictor,
    photos: Sequence[LabelledPhoto],
    recalled: Mapping[str, Evidence],
    seen: _Seen,
) -> Iterator[Answer | NotScored]:
    """Answer photos in order, a batch being decoded while the network has the one before.

    A fifth faster than a thread that takes its photo all the way, and bitwise the same.
    """

    def view(photo: LabelledPhoto) -> U8 | Evidence | NotScored:
        return recalled.get(photo.photo_id) or _view(predictor, photo)

    for batch, views in prepared(photos, lambda batch: [view(photo) for photo in batch], _BATCH):
        _see(predictor, batch, views, seen)
        for photo, found in zip(batch, views, strict=True):
            if isinstance(found, NotScored):
                yield found
                continue
            shown = found if isinstance(found, Evidence) else seen.evidence[photo.photo_id]
            verdict = predictor.bundle.thresholds.verdict(shown)
            yield Answer(photo=photo, probabilities=shown.probabilities_K, verdict=verdict)


def _see(
    predictor: Predictor,
    batch: Sequence[LabelledPhoto],
    views: Sequence[U8 | Evidence | NotScored],
    seen: _Seen,
) -> None:
    """Send the pictures among these through the network."""
    pictures = [
        (photo.photo_id, found)
        for photo, found in zip(batch, views, strict=True)
        if isinstance(found, np.ndarray)
    ]
    if not pictures:
        return
    ids, images = zip(*pictures, strict=True)
    outputs = predictor.outputs(np.stack(images))
    seen.evidence.update(zip(ids, predictor.evidence(outputs), strict=True))
    if "features" in outputs:
        seen.features.update(zip(ids, outputs["features"], strict=True))


def _view(predictor: Predictor, photo: LabelledPhoto) -> U8 | NotScored:
    try:
        return predictor.view(photo.read())
    except PhotoError as error:
        return _not_scored(photo, error.rejection.value, error)
    except (OSError, StorageError) as error:
        return _not_scored(photo, QuarantineReason.UNREADABLE.value, error)


def _not_scored(photo: LabelledPhoto, reason: str, error: Exception) -> NotScored:
    return NotScored(
        photo_id=photo.photo_id,
        found_at=printable(photo.found_at),
        breed=photo.breed,
        reason=reason,
        detail=printable(str(error)),
    )
