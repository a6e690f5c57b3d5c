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
class Thresholds:
    """Where a model stops being sure.

    Attributes:
        dog_mass: below it the picture is called no dog.
        breed_probability: below it the best breed is only a guess.
    """

    dog_mass: float
    breed_probability: float

    def verdict(self, dog_mass: float, best_probability: float) -> Verdict:
        """Return the verdict for one photo."""
        if dog_mass < self.dog_mass:
            return Verdict.NOT_A_DOG
        return Verdict.UNSURE if best_probability < self.breed_probability else Verdict.BREED


def calibrated(logits_NK: F32, temperature: float) -> F64:
    """Return probabilities [N, K]: the softmax of logits / temperature (Guo et al., 2017).

    float64, so that a row's rounding cannot depend on its neighbours.
    """
    scaled_NK = logits_NK.astype(np.float64) / temperature
    scaled_NK -= scaled_NK.max(axis=1, keepdims=True)
    weights_NK = np.exp(scaled_NK)
    return np.asarray(weights_NK / weights_NK.sum(axis=1, keepdims=True), np.float64)
