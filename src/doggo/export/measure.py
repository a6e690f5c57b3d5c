"""What validation photos say about an exported network: runtimes, temperature, thresholds.

Owns the choice of photos and the sealed validation answers. Reads the validation split alone.
Knows nothing of PyTorch or of how a bundle is sealed.

Every answer is one of the shipped file. Where its features are known from before, because
training computed them or an earlier export with the same weights did, only its heads are run,
cut out of that file: in all three pairs the answers were bitwise those of the whole
(efficientnet_lite0, November 2026). On the photos that are timed this is checked anew each time,
and a network that disagrees with what was kept answers all photos as a network.

Legend: N photos, K breeds, D features, H W C a picture.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import InputError
from doggo.core.progress import Progress
from doggo.core.records import Manifest, Split
from doggo.export.calibrate import Calibration, calibrate, defaults
from doggo.export.compare import (
    Answers,
    answer,
    joined,
    largest_difference,
    looks,
    run_pairs,
    trials,
)
from doggo.nets.cut import cut
from doggo.storage.shards import PixelReader
from doggo.vision.bundle import PARITY_TOLERANCE, ValidationAnswer, ValidationAnswers
from doggo.vision.cores import available_cores
from doggo.vision.embeddings import EmbeddingCache, EmbeddingKey, embed
from doggo.vision.pairs import REFERENCE, Pair, Trial, choose_pair, usable_pairs
from doggo.vision.runtime import Opener, Session, open_session
from doggo.vision.verdict import calibrated
from doggo.vision.view import View

U8 = NDArray[np.uint8]

TIMED_PHOTOS = 64
"""Photos that every pair answers as a whole, in turns."""

F32_PHOTOS = 256
"""Photos on which a second float32 runtime is compared: it hardly differs, and without a
difference the loss is surely below a point from 194 photos on. Half precision differs in one
answer of 150, which takes about 1,300 photos to tell from a point: it gets all of them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What goes into the bundle beside the network."""

    calibration: Calibration
    trials: tuple[Trial, ...]
    validation: ValidationAnswers


@dataclass(frozen=True, kw_only=True)
class KnownFeatures:
    """Where features are kept, and whose: `sha256` is that of the weights which compute them."""

    cache: EmbeddingCache
    sha256: str


class ValidationPhotos:
    """The validation photos of the breeds that a network knows, as it sees them.

    Attributes:
        rows: by id, so that any number of the first is a fair sample.
        labels_N: index of each row's breed.
    """

    def __init__(
        self, manifest: Manifest, pixels: PixelReader, view: View, labels: Sequence[str]
    ) -> None:
        if manifest.short_side_px != view.short_side_px:
            raise InputError(
                f"the candidate was trained on photos of {view.short_side_px} px, dataset "
                f"{manifest.manifest_id} has {manifest.short_side_px} px: run "
                f"`doggo preprocess --short-side {view.short_side_px}`"
            )
        index = {label: k for k, label in enumerate(labels)}
        known = [row for row in manifest.of(Split.VALIDATION) if row.breed in index]
        # Ids are digests: any number of the first is a fair sample, and stays one as photos come.
        self.rows = tuple(sorted(known, key=lambda row: row.photo_id))
        self.labels = tuple(labels)
        self.labels_N = np.array([index[row.breed] for row in self.rows], np.int64)
        self.manifest = manifest
        self.view = view
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, part: slice) -> U8:
        """Return uint8 [N, size_px, size_px, 3] of some rows."""
        return np.stack([self.view.crop(self.pixels.image(row)) for row in self.rows[part]])


def measure(
    onnx: Path,
    photos: ValidationPhotos | None,
    known: KnownFeatures | None,
    *,
    open_network: Opener,
    progress: Progress,
) -> Measured:
    """Try the runtimes, let the chosen one answer for all photos, and calibrate.

    Args:
        known: features computed here are kept there too; None: the whole network gives every
            answer.
    """
    if photos is None or len(photos) == 0:
        nothing = ValidationAnswers(pair=REFERENCE.name, answers={})
        return Measured(calibration=defaults("no photos at all"), trials=(), validation=nothing)
    with ThreadPoolExecutor(available_cores(), "open") as cores:
        opened = cores.map(partial(open_network, onnx), usable_pairs())
        sessions = {session.pair: session for session in opened}
    answers, ms_per_photo = run_pairs(
        sessions, photos.images, range(min(TIMED_PHOTOS, len(photos)))
    )
    network = _Network(heads=_heads(onnx), photos=photos, known=known, progress=progress)
    best = _choose(network, sessions, answers, ms_per_photo)
    answers[best] = network.answers(sessions[best], answers[best], len(photos))
    chosen = answers[best]
    progress("export", len(photos), len(photos))
    source = f"validation photos of dataset {photos.manifest.manifest_id}"
    calibration = calibrate(
        chosen.logits_NK, chosen.dog_mass_N, chosen.known_share_N, photos.labels_N, source
    )
    top1 = _top1(photos, chosen, calibration.temperature)
    return Measured(
        calibration=calibration,
        trials=trials(answers, ms_per_photo, photos.labels_N),
        validation=ValidationAnswers(pair=best.name, answers=top1),
    )


def _choose(
    network: _Network,
    sessions: Mapping[Pair, Session],
    answers: dict[Pair, Answers],
    ms_per_photo: Mapping[Pair, float],
) -> Pair:
    """Return the fastest allowed pair; `answers` grows by what had to be answered for that."""
    labels_N = network.photos.labels_N
    for pair, count in photos_to_try(ms_per_photo, len(labels_N)).items():
        for look in looks(count):
            for one in (REFERENCE, pair):
                answers[one] = network.answers(sessions[one], answers[one], look)
            best = choose_pair(trials(answers, ms_per_photo, labels_N))
            if best != REFERENCE:
                return best  # the pairs that were not tried yet are slower
    return REFERENCE


def photos_to_try(ms_per_photo: Mapping[Pair, float], n: int) -> dict[Pair, int]:
    """Return on how many of n photos each pair is compared at most, the fastest first.

    One that was slower than the reference is never chosen: the timed photos are its trial.
    """
    faster = [pair for pair, ms in ms_per_photo.items() if ms < ms_per_photo[REFERENCE]]
    return {
        pair: min(F32_PHOTOS, n) if pair.precision == "f32" else n
        for pair in sorted(faster, key=ms_per_photo.__getitem__)
    }


def _heads(onnx: Path) -> bytes:
    parts = cut(onnx)
    assert parts is not None, "export writes networks that give their features"
    return parts.heads


@dataclass(frozen=True, kw_only=True)
class _Network:
    """The shipped network, whole and by its heads alone."""

    heads: bytes
    photos: ValidationPhotos
    known: KnownFeatures | None
    progress: Progress

    def answers(self, session: Session, seen: Answers, count: int) -> Answers:
        """Return a pair's answers for the first `count` photos.

        Args:
            seen: those of the first of them, which are not asked for again.
        """
        n = len(seen)
        if n >= count:
            return seen
        found = self._from_features(session, self.known, count) if self.known else None
        if found is not None:
            difference = largest_difference(seen, found.first(n))
            if difference > PARITY_TOLERANCE:
                log.warning(
                    "export.kept_features_differ pair=%s by=%.2g", session.pair.name, difference
                )
                found = None
        if found is None:
            rest = range(n, count)
            more, _ = run_pairs({session.pair: session}, self.photos.images, rest, self._tell)
            found = joined([seen, more[session.pair]])
        return found

    def _from_features(self, session: Session, known: KnownFeatures, count: int) -> Answers:
        photos = self.photos
        key = EmbeddingKey(
            features_sha256=known.sha256,
            view=photos.view,
            pair=session.pair,
            decoder=photos.manifest.decoder,
            step=photos.manifest.step,
        )
        features_ND = embed(
            photos.rows[:count],
            photos.pixels,
            lambda: session,
            key=key,
            cache=known.cache,
            progress=lambda _, done, __: self._tell(done),
        )
        return answer(open_session(self.heads, session.pair), features_ND)

    def _tell(self, done: int) -> None:
        """Tell how far a pair is: each starts anew, and how many photos it takes is open."""
        self.progress("export", done, len(self.photos))


def _top1(
    photos: ValidationPhotos, answers: Answers, temperature: float
) -> dict[str, ValidationAnswer]:
    probabilities_NK = calibrated(answers.logits_NK, temperature)
    best_N = probabilities_NK.argmax(axis=1)
    answered = {
        row.photo_id: ValidationAnswer(
            breed=photos.labels[best], probability=round(float(row_K[best]), 6)
        )
        for row, row_K, best in zip(photos.rows, probabilities_NK, best_N, strict=True)
    }
    return dict(sorted(answered.items()))
