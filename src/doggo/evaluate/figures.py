"""From answers and labels to the figures of an evaluation: pure, no photo is read here.

Legend: N photos whose breed the model knows, K breeds of the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doggo.core import metrics
from doggo.core.breeds import BREEDS, nearest
from doggo.core.records import Verdict
from doggo.evaluate.evaluation import (
    Bin,
    BreedScore,
    Calibration,
    ConfusedPair,
    Mistake,
    RiskPoint,
    Share,
    UnknownBreed,
    Verdicts,
)
from doggo.evaluate.labelled import LabelledPhoto, printable

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

CURVE_POINTS = 101
CONFUSED_PAIRS = 10
PHOTOS_A_PAIR = 4
CONFIDENT_MISTAKES = 24


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The answers that have a right one: row i of every array is photo i.

    Attributes:
        breeds: the K labels of the model.
        photos: N photos.
        labels: [N] index of each photo's breed among `breeds`.
        probabilities: [N, K], calibrated.
        verdicts: N verdicts.
    """

    breeds: tuple[str, ...]
    photos: Sequence[LabelledPhoto]
    labels: I64
    probabilities: F32
    verdicts: Sequence[Verdict]

    @property
    def answers(self) -> I64:
        """[N] index of the first answer."""
        return np.asarray(self.probabilities.argmax(axis=1))


def uncalibrated(probabilities_NK: F32, temperature: float) -> F64:
    """Return what the probabilities were before the temperature: softmax of the bare logits.

    Calibrated p = softmax(z / T), so softmax(z) is p to the power T, made to sum to one.
    """
    log_NK = np.log(np.maximum(probabilities_NK.astype(np.float64), np.finfo(np.float64).tiny))
    powers_NK = np.exp(temperature * (log_NK - log_NK.max(axis=1, keepdims=True)))
    return np.asarray(powers_NK / powers_NK.sum(axis=1, keepdims=True))


def calibration(probabilities_NK: F32 | F64, labels_N: I64) -> Calibration:
    """Return log-loss, expected calibration error and the filled bins behind it."""
    curve = metrics.reliability(probabilities_NK, labels_N)
    return Calibration(
        log_loss=metrics.log_loss(probabilities_NK, labels_N),
        expected_calibration_error=metrics.expected_calibration_error(probabilities_NK, labels_N),
        bins=tuple(
            Bin(confidence=float(confidence), accuracy=float(accuracy), n=int(n))
            for confidence, accuracy, n in zip(
                curve.confidence, curve.accuracy, curve.count, strict=True
            )
            if n
        ),
    )


def risk_points(curve: metrics.RiskCoverage) -> tuple[RiskPoint, ...]:
    """Return at most `CURVE_POINTS` points of the curve, evenly spread over the coverage."""
    wanted = np.linspace(curve.coverage[0], 1.0, CURVE_POINTS)
    chosen = np.unique(np.searchsorted(curve.coverage, wanted - 1e-12))
    return tuple(
        RiskPoint(
            coverage=float(curve.coverage[i]),
            risk=float(curve.risk[i]),
            threshold=float(curve.threshold[i]),
        )
        for i in chosen
    )


def count_verdicts(scored: Scored) -> Verdicts:
    """Return how many photos got each verdict, and how many of those answers were right."""
    hits_N = scored.answers == scored.labels
    said = {v: np.array([given is v for given in scored.verdicts], bool) for v in Verdict}

    def share(verdict: Verdict) -> Share:
        return Share(hits=int(hits_N[said[verdict]].sum()), n=int(said[verdict].sum()))

    return Verdicts(
        named=share(Verdict.BREED),
        unsure=share(Verdict.UNSURE),
        not_a_dog=int(said[Verdict.NOT_A_DOG].sum()),
    )


def score_breeds(breeds: Sequence[str], confusion_KK: I64) -> tuple[BreedScore, ...]:
    """Return one score for each breed that is present or was answered, in label order."""
    present_K, answered_K = confusion_KK.sum(axis=1), confusion_KK.sum(axis=0)
    scores = []
    for k, breed in enumerate(breeds):
        if not present_K[k] and not answered_K[k]:
            continue
        wrong_K = confusion_KK[k].copy()
        hits, wrong_K[k] = int(wrong_K[k]), 0
        scores.append(
            BreedScore(
                breed=breed,
                recall=Share(hits=hits, n=int(present_K[k])),
                precision=Share(hits=hits, n=int(answered_K[k])),
                taken_for=breeds[int(wrong_K.argmax())] if wrong_K.any() else None,
            )
        )
    return tuple(scores)


def confident_mistakes(scored: Scored) -> tuple[Mistake, ...]:
    """Return every wrong first answer, the most confident first."""
    answers_N = scored.answers
    confidence_N = scored.probabilities.max(axis=1)
    wrong = np.flatnonzero(answers_N != scored.labels)
    return tuple(
        Mistake(
            photo_id=scored.photos[i].photo_id,
            found_at=printable(scored.photos[i].found_at),
            breed=scored.breeds[scored.labels[i]],
            answer=scored.breeds[answers_N[i]],
            probability=float(confidence_N[i]),
            breed_probability=float(scored.probabilities[i, scored.labels[i]]),
        )
        for i in wrong[np.argsort(-confidence_N[wrong], kind="stable")]
    )


def confused_pairs(
    breeds: Sequence[str], confusion_KK: I64, mistakes: Sequence[Mistake]
) -> tuple[ConfusedPair, ...]:
    """Return the pairs of breeds with most mistakes between them, at least two, worst first."""
    both_KK = np.triu(confusion_KK + confusion_KK.T, k=1)
    firsts, seconds = np.nonzero(both_KK >= 2)
    worst = np.argsort(-both_KK[firsts, seconds], kind="stable")[:CONFUSED_PAIRS]
    present_K = confusion_KK.sum(axis=1)

    def pair(a: int, b: int) -> ConfusedPair:
        between = [m for m in mistakes if {m.breed, m.answer} == {breeds[a], breeds[b]}]
        return ConfusedPair(
            first=breeds[a],
            second=breeds[b],
            first_as_second=Share(hits=int(confusion_KK[a, b]), n=int(present_K[a])),
            second_as_first=Share(hits=int(confusion_KK[b, a]), n=int(present_K[b])),
            mistakes=tuple(between[:PHOTOS_A_PAIR]),
        )

    return tuple(pair(int(firsts[i]), int(seconds[i])) for i in worst)


def unknown_breeds(
    said: Sequence[tuple[str, Verdict]], labels: Sequence[str]
) -> tuple[UnknownBreed, ...]:
    """Return, for breeds outside the model's labels, what it said of their photos.

    A breed that is well known is spelled rightly: it has no nearest label.
    """
    counts = Counter(said)
    return tuple(
        UnknownBreed(
            breed=breed,
            nearest=None if breed in BREEDS else nearest(breed, labels),
            named=counts[breed, Verdict.BREED],
            unsure=counts[breed, Verdict.UNSURE],
            not_a_dog=counts[breed, Verdict.NOT_A_DOG],
        )
        for breed in sorted({breed for breed, _ in said})
    )
