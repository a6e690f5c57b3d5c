"""Temperature and thresholds do what they promise on the photos they were fitted on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doggo.export.calibrate import (
    DEFAULT_TEMPERATURE,
    DEFAULT_THRESHOLDS,
    FEWEST_ANSWERS,
    FEWEST_PHOTOS,
    KEPT_DOGS,
    PRECISION,
    TEMPERATURES,
    calibrate,
    fit_temperature,
    keep_threshold,
    known_threshold,
    precision_threshold,
)
from doggo.vision.verdict import calibrated


def sampled(n: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels drawn from their own softmax at `temperature`."""
    rng = np.random.default_rng(seed)
    logits_NK = rng.normal(0, 3, (n, 8)).astype(np.float32)
    shares_NK = calibrated(logits_NK, temperature)
    return logits_NK, np.array([rng.choice(8, p=row_K) for row_K in shares_NK])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    found = fit_temperature(*sampled(20_000, temperature))
    assert found == pytest.approx(temperature, rel=0.05)


def test_the_fitted_temperature_has_the_least_loss() -> None:
    logits_NK, labels_N = sampled(500, 1.7)

    def loss(temperature: float) -> float:
        own_N = calibrated(logits_NK, temperature)[np.arange(500), labels_N]
        return float(-np.log(own_N).mean())

    best = fit_temperature(logits_NK, labels_N)
    assert all(loss(best) <= loss(other) + 1e-9 for other in np.geomspace(*TEMPERATURES, 200))


def test_a_model_that_is_always_right_keeps_a_temperature_in_range() -> None:
    logits_NK = np.eye(5, dtype=np.float32)[np.arange(200) % 5] * 1e4
    assert TEMPERATURES[0] <= fit_temperature(logits_NK, np.arange(200) % 5) <= TEMPERATURES[1]


@given(
    scores=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=300),
    share=st.sampled_from([0.5, 0.9, 0.98, 1.0]),
)
def test_the_largest_threshold_that_keeps_a_share(scores: list[float], share: float) -> None:
    scores_N = np.float32(scores)
    threshold = keep_threshold(scores_N, share)
    assert np.mean(scores_N >= threshold) >= share - 1e-9
    above = scores_N[scores_N > threshold]
    assert len(above) == 0 or np.mean(scores_N >= above.min()) < share


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), max_size=200))
def test_the_smallest_probability_that_gives_the_precision(
    answers: list[tuple[float, bool]],
) -> None:
    confidence_N = np.float32([share for share, _ in answers])
    hits_N = np.array([hit for _, hit in answers], bool)

    def good(threshold: float) -> bool:
        answered_N = confidence_N >= threshold
        enough = answered_N.sum() >= FEWEST_ANSWERS
        return bool(enough and hits_N[answered_N].mean() >= PRECISION)

    found = precision_threshold(confidence_N, hits_N, PRECISION)
    candidates = [float(share) for share in confidence_N if good(float(share))]
    assert found == (min(candidates) if candidates else None)


def test_what_is_fitted_keeps_its_promises_and_says_on_what() -> None:
    logits_NK, labels_N = sampled(2000, 0.5)
    dog_mass_N = np.random.default_rng(1).beta(8, 1, 2000).astype(np.float32)
    known_share_N = np.random.default_rng(2).beta(4, 1, 2000).astype(np.float32)
    source = "validation photos of dataset abc"
    found = calibrate(logits_NK, dog_mass_N, known_share_N, labels_N, source)
    probabilities_NK = calibrated(logits_NK, found.temperature).astype(np.float32)
    dogs_N = dog_mass_N >= found.thresholds.dog_mass
    seen_N = dogs_N & (known_share_N >= found.thresholds.known_share)
    named_N = seen_N & (probabilities_NK.max(axis=1) >= found.thresholds.breed_probability)
    assert dogs_N.mean() >= KEPT_DOGS
    assert KEPT_DOGS <= seen_N.sum() / dogs_N.sum() < KEPT_DOGS + 0.01
    assert (probabilities_NK.argmax(axis=1) == labels_N)[named_N].mean() >= PRECISION
    assert "2000 validation photos of dataset abc" in found.note


def test_photos_of_breeds_new_to_imagenet_do_not_crowd_out_the_others() -> None:
    """One photo in fifty is of a breed that ImageNet has: most of those must still be named."""
    known_share_N = np.ones(5000, np.float32)
    known_share_N[::50] = np.linspace(0.2, 0.99, 100)
    threshold = known_threshold(known_share_N)
    assert (known_share_N[::50] >= threshold).mean() == KEPT_DOGS


def test_where_all_breeds_are_new_to_imagenet_the_known_share_decides_nothing() -> None:
    assert known_threshold(np.ones(300, np.float32)) == 0


def test_too_few_photos_are_not_fitted_on_and_it_says_so() -> None:
    logits_NK, labels_N = sampled(FEWEST_PHOTOS - 1, 1.0)
    mass_N = np.ones(FEWEST_PHOTOS - 1, np.float32)
    found = calibrate(logits_NK, mass_N, mass_N, labels_N, "validation photos")
    assert (found.temperature, found.thresholds) == (DEFAULT_TEMPERATURE, DEFAULT_THRESHOLDS)
    assert found.note.startswith("not fitted (99 validation photos")


def test_a_model_that_never_reaches_the_precision_says_so() -> None:
    rng = np.random.default_rng(0)
    logits_NK = rng.normal(0, 1, (400, 8)).astype(np.float32)
    ones_N = np.ones(400, np.float32)
    found = calibrate(logits_NK, ones_N, ones_N, rng.integers(0, 8, 400), "photos")
    assert found.thresholds.breed_probability == DEFAULT_THRESHOLDS.breed_probability
    assert "no probability gives 95% precision" in found.note
