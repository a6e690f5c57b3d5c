"""The figures agree with scikit-learn, with formulas written out, and with their own limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from doggo.core import metrics
from doggo.core.errors import InputError

Scored = tuple[NDArray[np.float64], NDArray[np.int64]]


def _scored(seed: int, n: int, classes: int, *, ties: bool = False) -> Scored:
    """Draw probabilities that know something of their labels."""
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, classes, n)
    logits_NK = rng.normal(size=(n, classes))
    logits_NK[np.arange(n), labels_N] += 1.5
    if ties:
        logits_NK = np.round(logits_NK)
    probabilities_NK = np.exp(logits_NK)
    return probabilities_NK / probabilities_NK.sum(axis=1, keepdims=True), labels_N


cases = st.builds(
    _scored,
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.integers(2, 8),
    ties=st.booleans(),
)


def test_top_k_agrees_with_scikit_learn() -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    probabilities_NK, labels_N = _scored(1, 500, 12)
    for k in (1, 3):
        expected = sklearn_metrics.top_k_accuracy_score(
            labels_N, probabilities_NK, k=k, labels=range(12)
        )
        assert metrics.top_k(probabilities_NK, labels_N, k) == pytest.approx(expected)


@given(cases)
@settings(deadline=None)
def test_auroc_agrees_with_scikit_learn_class_by_class(case: Scored) -> None:
    roc_auc_score = pytest.importorskip("sklearn.metrics").roc_auc_score
    probabilities_NK, labels_N = case
    areas = [
        roc_auc_score(labels_N == label, probabilities_NK[:, label])
        for label in np.unique(labels_N)
        if 0 < (labels_N == label).sum() < len(labels_N)
    ]
    ours = metrics.macro_auroc(probabilities_NK, labels_N)
    assert ours == pytest.approx(np.mean(areas)) if areas else math.isnan(ours)


def test_a_perfect_model_of_120_classes_has_auroc_one_though_batches_miss_classes() -> None:
    # Averaged over batches of 32, with absent classes as 0, a perfect model once scored 0.2.
    labels_N = np.arange(1800) % 120
    assert metrics.macro_auroc(np.eye(120)[labels_N], labels_N) == 1.0
    assert metrics.macro_auroc(np.eye(120)[labels_N[:32]], labels_N[:32]) == 1.0


def test_auroc_without_a_second_breed_is_not_a_number() -> None:
    assert math.isnan(metrics.macro_auroc([[0.9, 0.1], [0.8, 0.2]], [0, 0]))


def test_auroc_of_a_model_that_says_the_same_of_every_photo_is_a_half() -> None:
    assert metrics.macro_auroc(np.full((40, 4), 0.25), np.arange(40) % 4) == 0.5


def test_balanced_accuracy_and_log_loss_agree_with_scikit_learn() -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    probabilities_NK, labels_N = _scored(2, 700, 9)
    assert metrics.balanced_accuracy(probabilities_NK, labels_N) == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(labels_N, probabilities_NK.argmax(axis=1))
    )
    assert metrics.log_loss(probabilities_NK, labels_N) == pytest.approx(
        sklearn_metrics.log_loss(labels_N, probabilities_NK, labels=range(9))
    )


def test_balanced_accuracy_leaves_absent_classes_out() -> None:
    assert metrics.balanced_accuracy(np.eye(5)[[0, 0, 0, 3]], [0, 0, 0, 4]) == 0.5


def test_log_loss_of_a_certain_mistake_is_finite() -> None:
    assert metrics.log_loss([[1.0, 0.0]], [1]) == pytest.approx(-math.log(2**-23))


def test_calibration_error_of_bins_worked_out_by_hand() -> None:
    # Two photos at 0.9, one right; two at 0.6, both right.
    probabilities_NK = [[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]]
    assert metrics.expected_calibration_error(probabilities_NK, [0, 1, 0, 0]) == pytest.approx(
        0.5 * abs(0.9 - 0.5) + 0.5 * abs(0.6 - 1.0)
    )


def test_calibration_error_vanishes_where_confidence_comes_true() -> None:
    rng = np.random.default_rng(3)
    p_N = rng.uniform(0.5, 1.0, 200_000)
    labels_N = (rng.uniform(size=p_N.size) > p_N).astype(int)
    assert metrics.expected_calibration_error(np.stack([p_N, 1 - p_N], 1), labels_N) < 0.005


def test_reliability_puts_every_photo_in_one_bin() -> None:
    certain = metrics.reliability([[1.0, 0.0], [0.5, 0.5]], [0, 0])
    assert certain.count.sum() == 2
    assert certain.count[-1] == 1
    assert np.isnan(certain.accuracy[0])


def test_risk_coverage_worked_out_by_hand() -> None:
    # Confidence 0.9 right, 0.8 right and wrong (a tie), 0.6 wrong.
    curve = metrics.risk_coverage([[0.9, 0.1], [0.8, 0.2], [0.8, 0.2], [0.6, 0.4]], [0, 0, 1, 1])
    assert curve.coverage.tolist() == [0.25, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0.0, 1 / 3, 0.5])
    assert curve.threshold.tolist() == [0.9, 0.8, 0.6]
    assert curve.aurc == pytest.approx((0 + 2 * (1 / 3) + 0.5) / 4)
    assert curve.coverage_at(0.95) == 0.25
    assert curve.coverage_at(0.5) == 1.0


def test_coverage_is_none_where_no_answer_is_precise_enough() -> None:
    assert metrics.risk_coverage([[0.9, 0.1]], [1]).coverage_at(0.95) == 0.0


def test_confusion_counts_agree_with_scikit_learn() -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    probabilities_NK, labels_N = _scored(4, 300, 7)
    predicted_N = probabilities_NK.argmax(axis=1)
    expected = sklearn_metrics.confusion_matrix(labels_N, predicted_N, labels=range(7))
    assert (metrics.confusion_counts(labels_N, predicted_N, 7) == expected).all()


@given(cases)
def test_figures_stay_in_their_ranges_and_know_each_other(case: Scored) -> None:
    probabilities_NK, labels_N = case
    top1, top3 = (metrics.top_k(probabilities_NK, labels_N, k) for k in (1, 3))
    assert 0 <= top1 <= top3 <= 1
    assert top1 == np.mean(probabilities_NK.argmax(axis=1) == labels_N)
    assert metrics.top_k(probabilities_NK, labels_N, probabilities_NK.shape[1]) == 1
    assert 0 <= metrics.expected_calibration_error(probabilities_NK, labels_N) <= 1
    curve = metrics.risk_coverage(probabilities_NK, labels_N)
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx(1 - top1)
    assert 0 <= curve.aurc <= 1


@given(cases, st.randoms(use_true_random=False))
def test_the_order_of_the_photos_does_not_matter(case: Scored, random: object) -> None:
    probabilities_NK, labels_N = case
    order = np.array(sorted(range(len(labels_N)), key=lambda _: random.random()))  # type: ignore[attr-defined]
    for figure in (metrics.macro_auroc, metrics.log_loss, metrics.expected_calibration_error):
        assert figure(probabilities_NK[order], labels_N[order]) == pytest.approx(
            figure(probabilities_NK, labels_N), nan_ok=True
        )


def test_wilson_agrees_with_the_published_example() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263 and 0 of 20.
    assert metrics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert metrics.wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_holds_its_share_and_stays_inside(a: int, b: int) -> None:
    hits, n = min(a, b), max(a, b)
    low, high = metrics.wilson_interval(hits, n)
    assert 0 <= low <= (hits / n if n else 0.5) <= high <= 1


def test_paired_bootstrap_agrees_with_resampling_photo_by_photo() -> None:
    rng = np.random.default_rng(5)
    hits_a_N, hits_b_N = rng.uniform(size=800) < 0.8, rng.uniform(size=800) < 0.78
    value, low, high = metrics.paired_bootstrap_difference(hits_a_N, hits_b_N)
    paired_N = hits_a_N.astype(float) - hits_b_N
    draws = paired_N[rng.integers(0, 800, (4000, 800))].mean(axis=1)
    assert value == pytest.approx(paired_N.mean())
    assert (low, high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.003)


def test_paired_bootstrap_covers_the_truth_about_95_times_in_100() -> None:
    rng, covered = np.random.default_rng(6), 0
    for seed in range(300):
        both_N = rng.uniform(size=(2, 500)) < np.array([[0.82], [0.80]])
        _, low, high = metrics.paired_bootstrap_difference(*both_N, seed, resamples=2000)
        covered += low <= 0.02 <= high
    assert 0.91 <= covered / 300 <= 0.99


def test_paired_bootstrap_repeats_and_mirrors() -> None:
    hits_a_N, hits_b_N = [True, True, False, True] * 50, [True, False, False, False] * 50
    first = metrics.paired_bootstrap_difference(hits_a_N, hits_b_N, seed=7)
    assert first == metrics.paired_bootstrap_difference(hits_a_N, hits_b_N, seed=7)
    assert metrics.paired_bootstrap_difference(hits_b_N, hits_a_N, seed=7).value == -first.value
    assert metrics.paired_bootstrap_difference(hits_a_N, hits_a_N) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "no photos"),
        (np.zeros((2, 3)), np.zeros(3, int), "do not fit"),
        (np.zeros((2, 3)), np.array([0, 3]), "3 classes"),
        (np.zeros((2, 3)), np.array([-1, 0]), "3 classes"),
        (np.array([[0.5, np.nan]]), np.array([0]), "NaN"),
        (np.zeros((1, 2)), np.array([0.0]), "class indices"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_words(
    scores: NDArray[np.float64], labels: NDArray[np.int64], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        metrics.top_k(scores, labels)
    with pytest.raises(InputError, match=words):
        metrics.macro_auroc(scores, labels)


def test_comparing_different_photos_is_refused() -> None:
    with pytest.raises(InputError, match="same photos"):
        metrics.paired_bootstrap_difference([True], [True, False])
    with pytest.raises(InputError, match="same photos"):
        metrics.paired_bootstrap_difference([], [])


def _noisy(n: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers that are right more often than not."""
    noise = np.random.default_rng(seed)
    labels_N = np.arange(n) % classes
    scores_NK = noise.normal(size=(n, classes))
    scores_NK[np.arange(n), labels_N] += 1.2
    return scores_NK, labels_N


@pytest.mark.parametrize("classes", [2, 5])
def test_the_interval_of_macro_auroc_is_that_of_a_bootstrap(classes: int) -> None:
    scores_NK, labels_N = _noisy(240, classes, seed=3)
    low, high = metrics.macro_auroc_interval(scores_NK, labels_N)
    assert low < metrics.macro_auroc(scores_NK, labels_N) < high
    draw = np.random.default_rng(0)
    drawn = [
        metrics.macro_auroc(scores_NK[chosen], labels_N[chosen])
        for chosen in draw.integers(0, 240, size=(600, 240))
    ]
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx((low, high), abs=0.012)


def test_the_interval_of_macro_auroc_holds_the_truth_as_often_as_it_says() -> None:
    truth = metrics.macro_auroc(*_noisy(60_000, 3, seed=1))
    intervals = [metrics.macro_auroc_interval(*_noisy(150, 3, seed=s)) for s in range(400)]
    assert 0.92 < np.mean([low <= truth <= high for low, high in intervals]) < 0.98


@pytest.mark.parametrize("photos", [20, 23, 30])
def test_the_interval_of_macro_auroc_is_as_wide_as_a_few_photos_a_class_make_it(
    photos: int,
) -> None:
    truth = metrics.macro_auroc(*_noisy(60_000, 10, seed=1))
    intervals = [metrics.macro_auroc_interval(*_noisy(photos, 10, seed=s)) for s in range(400)]
    assert 0.91 < np.mean([low <= truth <= high for low, high in intervals]) < 0.99


def test_one_photo_a_class_has_no_spread_and_one_among_others_has_theirs() -> None:
    assert metrics.macro_auroc_interval(*_noisy(10, 10, seed=0)) == (0.0, 1.0)
    scores_NK, labels_N = _noisy(40, 4, seed=0)
    few = np.flatnonzero((labels_N != 3) | (np.arange(40) == 3))
    low, high = metrics.macro_auroc_interval(scores_NK[few], labels_N[few])
    whole = metrics.macro_auroc_interval(scores_NK, labels_N)
    assert whole[1] - whole[0] < high - low < 1


def test_the_interval_of_macro_auroc_stays_inside_and_knows_its_ends() -> None:
    labels_N = np.arange(12) % 3
    assert metrics.macro_auroc_interval(np.eye(3)[labels_N], labels_N) == (1.0, 1.0)
    assert metrics.macro_auroc_interval([[0.9, 0.1], [0.8, 0.2]], [0, 0]) == (0.0, 1.0)
    scores_NK, labels_N = _noisy(6, 2, seed=0)
    low, high = metrics.macro_auroc_interval(scores_NK, labels_N)
    assert 0 <= low <= high <= 1
