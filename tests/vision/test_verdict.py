"""What a model dares to say follows from three thresholds; probabilities from one temperature."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doggo.core.records import Verdict
from doggo.vision.verdict import Evidence, Thresholds, calibrated

SHARES = st.floats(0, 1, width=32)


def evidence(probability: float = 1.0, dog_mass: float = 1.0, known_share: float = 1.0) -> Evidence:
    probabilities_K = np.float32([0, probability])
    return Evidence(probabilities_K=probabilities_K, dog_mass=dog_mass, known_share=known_share)


@given(*[SHARES] * 6)
def test_verdict_rule(
    mass: float, known: float, probability: float, dog_mass: float, known_share: float, sure: float
) -> None:
    thresholds = Thresholds(dog_mass=dog_mass, breed_probability=sure, known_share=known_share)
    verdict = thresholds.verdict(evidence(probability, mass, known))
    if mass < dog_mass:
        assert verdict is Verdict.NOT_A_DOG
    elif probability < sure or known < known_share:
        assert verdict is Verdict.UNSURE
    else:
        assert verdict is Verdict.BREED


@pytest.mark.parametrize("change", [(0.5, 1, 1), (1, 0.5, 1), (1, 1, 0.5)])
def test_evidence_differs_by_its_largest_difference(change: tuple[float, float, float]) -> None:
    assert evidence().difference(evidence()) == 0
    assert evidence().difference(evidence(*change)) == 0.5


def test_calibration_divides_by_the_temperature() -> None:
    logits_NK = np.float32([[1, 2, 4], [1000, -1000, 0]])
    found_NK = calibrated(logits_NK, 2.0)
    expected_K = np.exp([0.5, 1, 2]) / np.exp([0.5, 1, 2]).sum()
    assert np.allclose(found_NK[0], expected_K)
    assert np.allclose(found_NK[1], [1, 0, 0])


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    logits_NK = np.random.default_rng(0).normal(0, 5, (33, 120)).astype(np.float32)
    together_NK = calibrated(logits_NK, 0.7)
    alone_NK = np.concatenate([calibrated(row_K[None], 0.7) for row_K in logits_NK])
    assert np.array_equal(together_NK, alone_NK)
