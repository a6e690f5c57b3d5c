"""What validation photos say about an exported network: runtimes, temperature, thresholds.

Owns the choice of photos and the sealed validation answers. Reads the validation split alone.
Knows nothing of PyTorch or of how a bundle is sealed.

Legend: N photos, K breeds, H W C a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import InputError
from doggo.core.progress import Progress
from doggo.core.records import Manifest, Split
from doggo.export.calibrate import Calibration, calibrate, defaults
from doggo.export.compare import Answers, joined, run_pairs, trials
from doggo.storage.shards import PixelReader
from doggo.vision.bundle import ValidationAnswer, ValidationAnswers
from doggo.vision.runtime import REFERENCE, Trial, choose_pair, open_session, usable_pairs
from doggo.vision.verdict import calibrated
from doggo.vision.view import View

U8 = NDArray[np.uint8]

TRIAL_PHOTOS = 500
"""Photos on which every runtime is tried; half precision goes on to all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What goes into the bundle beside the network."""

    calibration: Calibration
    trials: tuple[Trial, ...]
    validation: ValidationAnswers


class ValidationPhotos:
    """The validation photos of the breeds that a network knows, as it sees them.

    Attributes:
        rows: an even spread of `TRIAL_PHOTOS` comes first, so that any number of the first
            rows covers all breeds.
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
        known.sort(key=lambda row: (row.breed, row.photo_id))
        first = np.unique(np.linspace(0, len(known) - 1, min(TRIAL_PHOTOS, len(known))).astype(int))
        rest = np.setdiff1d(np.arange(len(known)), first)
        self.rows = tuple(known[place] for place in (*first, *rest))
        self.labels = tuple(labels)
        self.labels_N = np.array([index[row.breed] for row in self.rows], np.int64)
        self.source = f"validation photos of dataset {manifest.manifest_id}"
        self._view = view
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, part: slice) -> U8:
        """Return uint8 [N, size_px, size_px, 3] of some rows."""
        return np.stack([self._view.crop(self._pixels.image(row)) for row in self.rows[part]])

    def spread(self, count: int) -> U8:
        """Return the pictures of `count` photos spread over all breeds."""
        tried = min(TRIAL_PHOTOS, len(self))
        places = np.unique(np.linspace(0, tried - 1, min(count, tried)).astype(int))
        return np.concatenate([self.images(slice(place, place + 1)) for place in places])


def measure(onnx: Path, photos: ValidationPhotos | None, progress: Progress) -> Measured:
    """Try the runtimes on some photos, let the chosen one answer for all, and calibrate."""
    if photos is None or len(photos) == 0:
        nothing = ValidationAnswers(pair=REFERENCE.name, answers={})
        return Measured(calibration=defaults("no photos at all"), trials=(), validation=nothing)
    n, tried = len(photos), min(TRIAL_PHOTOS, len(photos))
    sessions = {pair: open_session(onnx, pair) for pair in usable_pairs()}

    def told(done: int) -> None:
        progress("export", done, n)

    found, ms_per_photo = run_pairs(sessions, photos.images, range(tried), told)
    # Half precision differs in one answer of 150, which 500 photos cannot tell from a loss of a
    # point and 1,300 can (November 2026); f32 pairs hardly differ at all. The reference has to
    # answer along, and whichever is chosen needs all answers anyway.
    longer = {
        pair: s for pair, s in sessions.items() if pair == REFERENCE or pair.precision != "f32"
    }
    rest = range(tried, n)
    if len(longer) > 1 and rest:
        more, _ = run_pairs(longer, photos.images, rest, told)
        found |= {pair: joined([found[pair], more[pair]]) for pair in longer}
    compared = trials(found, ms_per_photo, photos.labels_N)
    pair = choose_pair(compared)
    answers = found[pair]
    if len(answers.logits_NK) < n:
        others, _ = run_pairs({pair: sessions[pair]}, photos.images, rest, told)
        answers = joined([answers, others[pair]])
    calibration = calibrate(answers.logits_NK, answers.dog_mass_N, photos.labels_N, photos.source)
    return Measured(
        calibration=calibration,
        trials=compared,
        validation=ValidationAnswers(
            pair=pair.name, answers=_top1(photos, answers, calibration.temperature)
        ),
    )


def _top1(
    photos: ValidationPhotos, answers: Answers, temperature: float
) -> dict[str, ValidationAnswer]:
    probabilities_NK = calibrated(answers.logits_NK, temperature)
    return {
        row.photo_id: ValidationAnswer(
            breed=photos.labels[best], probability=round(float(row_K[best]), 6)
        )
        for row, row_K, best in zip(
            photos.rows, probabilities_NK, probabilities_NK.argmax(axis=1), strict=True
        )
    }
