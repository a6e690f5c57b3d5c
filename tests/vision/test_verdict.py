"""What a model dares to say follows from two thresholds; probabilities from one temperature."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from doggo.core.records import Verdict
from doggo.vision.verdict import Thresholds, calibrated


@given(mass=st.floats(0, 1), share=st.floats(0, 1), dog_mass=st.floats(0, 1), sure=st.floats(0, 1))
def test_verdict_rule(mass: float, share: float, dog_mass: float, sure: float) -> None:
    verdict = Thresholds(dog_mass=dog_mass, breed_probability=sure).verdict(mass, share)
    if mass < dog_mass:
        assert verdict is Verdict.NOT_A_DOG
    elif share < sure:
        assert verdict is Verdict.UNSURE
    else:
        assert verdict is Verdict.BREED


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
