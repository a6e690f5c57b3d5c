"""From a network's numbers to what the model dares to say: pure rules.

Knows nothing of files, runtimes or pictures.

Legend: N photos, K breeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doggo.core.records import Verdict

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What a network says of one photo, before any threshold.

    Attributes:
        probabilities_K: calibrated, float32 [K], in the order of the labels.
        dog_mass: how much of a dog is in the picture, in [0, 1].
        known_share: how much of that dog is of the model's own breeds, in [0, 1].
    """

    probabilities_K: F32  # noqa: N815
    dog_mass: float
    known_share: float

    @property
    def best_probability(self) -> float:
        """The probability of the best breed."""
        return float(self.probabilities_K.max())

    def difference(self, other: Evidence) -> float:
        """Return the largest absolute difference of a figure; both are of the same labels."""
        return max(
            float(np.abs(self.probabilities_K - other.probabilities_K).max()),
            abs(self.dog_mass - other.dog_mass),
            abs(self.known_share - other.known_share),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """Where a model stops being sure.

    Attributes:
        dog_mass: below it the picture is called no dog.
        breed_probability: below it the best breed is only a guess.
        known_share: below it the dog seems to be of a breed that the model has not; 0: never.
    """

    dog_mass: float
    breed_probability: float
    known_share: float = 0.0

    def verdict(self, seen: Evidence) -> Verdict:
        """Return the verdict for one photo."""
        if seen.dog_mass < self.dog_mass:
            return Verdict.NOT_A_DOG
        if seen.known_share < self.known_share:
            return Verdict.UNSURE
        return Verdict.UNSURE if seen.best_probability < self.breed_probability else Verdict.BREED


def calibrated(logits_NK: F32, temperature: float) -> F64:
    """Return probabilities [N, K]: the softmax of logits / temperature (Guo et al., 2017).

    float64, so that a row's rounding cannot depend on its neighbours.
    """
    scaled_NK = logits_NK.astype(np.float64) / temperature
    scaled_NK -= scaled_NK.max(axis=1, keepdims=True)
    weights_NK = np.exp(scaled_NK)
    return np.asarray(weights_NK / weights_NK.sum(axis=1, keepdims=True), np.float64)
