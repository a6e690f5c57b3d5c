"""Calibration: temperature, and the three thresholds where a model stops being sure.

Pure and numpy alone. Owns the rules and the defaults that stand in where there are too few
photos to fit on. Everything here sees validation photos only.

Legend: N photos, K breeds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doggo.vision.verdict import Thresholds, calibrated

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

KEPT_DOGS = 0.98
"""Share of validation dogs that must not be called `not_a_dog`, and of those that remain the share
that must not be taken for a breed which the model has not."""

PRECISION = 0.95
"""Share of right answers among those given with the verdict `breed`."""

FEWEST_PHOTOS = 100
"""Below it nothing is fitted: two of a hundred dogs is the least that 2 % can mean."""

FEWEST_ANSWERS = 20
"""A precision over fewer answers says nothing (19 of 20 is 95 %)."""

TEMPERATURES = (0.2, 5.0)
"""Where the temperature is searched: a model that is always right would otherwise reach 0."""

# Fitted by the rules of this file on EfficientNet-Lite0 with ImageNet's own rows for the 120
# breeds: 1,320 photos (11 a breed) of an owner's folder-per-breed set, the validation side of a
# 25 % / 25 % split with seed 42, November 2026. Temperature 0.667, dog mass 0.716, probability
# 0.721; rounded. The known share grows with the number of breeds (fitted for 3, 6, 17 and 40 of
# them: 0.11, 0.09, 0.11, 0.19); those who lack photos to fit on have few breeds.
DEFAULT_TEMPERATURE = 0.67
DEFAULT_THRESHOLDS = Thresholds(dog_mass=0.71, breed_probability=0.72, known_share=0.10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What was fitted, and one honest line about on what."""

    temperature: float
    thresholds: Thresholds
    note: str


def calibrate(
    logits_NK: F32,
    dog_mass_N: F32,
    known_share_N: F32,
    labels_N: NDArray[np.int64],
    source: str,
) -> Calibration:
    """Return temperature and thresholds for answers on validation photos of known breeds.

    Args:
        labels_N: index of the true breed.
        source: what the photos are, for the note.
    """
    n = len(labels_N)
    if n < FEWEST_PHOTOS:
        return defaults(f"{n} {source}, of which at least {FEWEST_PHOTOS} are needed")
    temperature = fit_temperature(logits_NK, labels_N)
    # float32, as the predictor compares it.
    probabilities_NK = calibrated(logits_NK, temperature).astype(np.float32)
    dog_mass = keep_threshold(dog_mass_N, KEPT_DOGS)
    known_share = known_threshold(known_share_N[dog_mass_N >= dog_mass])
    seen_N = (dog_mass_N >= dog_mass) & (known_share_N >= known_share)
    hits_N = probabilities_NK.argmax(axis=1) == labels_N
    sure = precision_threshold(probabilities_NK.max(axis=1)[seen_N], hits_N[seen_N], PRECISION)
    note = f"temperature, dog-mass and known-share thresholds fitted on {n} {source}"
    if sure is None:
        note += f"; no probability gives {PRECISION:.0%} precision there, so the default stands in"
        sure = DEFAULT_THRESHOLDS.breed_probability
    else:
        note += f", as was the probability that gives {PRECISION:.0%} precision"
    return Calibration(
        temperature=temperature,
        thresholds=Thresholds(dog_mass=dog_mass, breed_probability=sure, known_share=known_share),
        note=note,
    )


def defaults(given: str) -> Calibration:
    """Return what stands in where nothing can be fitted."""
    return Calibration(
        temperature=DEFAULT_TEMPERATURE,
        thresholds=DEFAULT_THRESHOLDS,
        note=f"not fitted ({given}): the defaults for ImageNet's own weights stand in",
    )


def fit_temperature(logits_NK: F32, labels_N: NDArray[np.int64]) -> float:
    """Return the temperature of the least mean negative log-likelihood (Guo et al., 2017)."""
    logits = logits_NK.astype(np.float64)
    own_N = logits[np.arange(len(labels_N)), labels_N]
    highest_N1 = logits.max(axis=1, keepdims=True)

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        spread_N = np.log(np.exp((logits - highest_N1) * scale).sum(axis=1))
        return float((spread_N + (highest_N1[:, 0] - own_N) * scale).mean())

    low, high = np.log(TEMPERATURES)
    return float(np.exp(_golden_section(loss, float(low), float(high))))


def keep_threshold(scores_N: F32, share: float) -> float:
    """Return the largest threshold that at least `share` of the scores reach."""
    may_fall = int(np.floor((1 - share) * len(scores_N) + 1e-9))
    return float(np.sort(scores_N)[may_fall])


def known_threshold(known_share_N: F32) -> float:
    """Return the largest threshold that `KEPT_DOGS` of the known shares below 1 reach; 0 of none.

    A share of 1 is that of a breed which ImageNet has not: were it counted, such photos could fill
    the quota and leave none of the other breeds' above the threshold.
    """
    judged_N = known_share_N[known_share_N < 1]
    return keep_threshold(judged_N, KEPT_DOGS) if len(judged_N) else 0.0


def precision_threshold(
    confidence_N: F32, hits_N: NDArray[np.bool_], precision: float
) -> float | None:
    """Return the smallest confidence from which on at least `precision` of answers are right.

    None where no confidence does over at least `FEWEST_ANSWERS` photos.
    """
    order = np.argsort(-confidence_N, kind="stable")
    ordered_N = confidence_N[order]
    answered_N = np.arange(1, len(order) + 1)
    right_N = np.cumsum(hits_N[order])
    last_of_ties_N = np.append(ordered_N[1:] != ordered_N[:-1], True)[: len(order)]
    good_N = last_of_ties_N & (answered_N >= FEWEST_ANSWERS)
    good_N &= right_N >= precision * answered_N
    found = np.flatnonzero(good_N)
    return float(ordered_N[found[-1]]) if len(found) else None


def _golden_section(f: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function with one minimum in [low, high] has it, to 1e-6."""
    ratio = (np.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = f(left), f(right)
    while high - low > 1e-6:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = f(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = f(right)
    return (low + high) / 2
