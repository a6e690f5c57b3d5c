"""From answers to figures, worked out by hand and as laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from doggo.core import metrics
from doggo.core.records import Verdict
from doggo.evaluate import figures
from doggo.evaluate.evaluation import Mistake, Share
from doggo.evaluate.labelled import LabelledPhoto

BREEDS = ("beagle", "pug", "samoyed")


def _scored(labels: list[int], answers: list[int], confidence: list[float]) -> figures.Scored:
    probabilities_NK = np.zeros((len(labels), 3), np.float32)
    for row, (answer, p) in enumerate(zip(answers, confidence, strict=True)):
        probabilities_NK[row] = (1 - p) / 2
        probabilities_NK[row, answer] = p
    return figures.Scored(
        breeds=BREEDS,
        photos=[
            LabelledPhoto(photo_id=f"p{i}", breed="", found_at="", may_be_shown=True, read=bytes)
            for i in range(len(labels))
        ],
        labels=np.array(labels),
        probabilities=probabilities_NK,
        verdicts=[Verdict.BREED if p >= 0.8 else Verdict.UNSURE for p in confidence],
    )


@given(
    arrays(np.float64, (4, 5), elements=st.floats(-20, 20)),
    st.floats(0.2, 5),
)
def test_uncalibrated_undoes_the_temperature(logits_NK: np.ndarray, temperature: float) -> None:
    def softmax(scores_NK: np.ndarray) -> np.ndarray:
        powers_NK = np.exp(scores_NK - scores_NK.max(axis=1, keepdims=True))
        return powers_NK / powers_NK.sum(axis=1, keepdims=True)

    calibrated_NK = softmax(logits_NK / temperature).astype(np.float32)
    bare_NK = figures.uncalibrated(calibrated_NK, temperature)
    # What float32 rounded away at p cannot come back: compare where it is more than dust.
    assert bare_NK == pytest.approx(softmax(logits_NK), abs=1e-5)
    assert bare_NK.sum(axis=1) == pytest.approx(1)


def test_verdicts_are_counted_with_what_they_were_worth() -> None:
    scored = _scored([0, 0, 1, 2], [0, 1, 1, 0], [0.9, 0.9, 0.5, 0.5])
    verdicts = figures.count_verdicts(scored)
    assert verdicts.named == Share(hits=1, n=2)
    assert verdicts.unsure == Share(hits=1, n=2)
    assert verdicts.not_a_dog == 0


def test_breed_scores_worked_out_by_hand() -> None:
    confusion_KK = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 4]])
    beagle, pug, samoyed = figures.score_breeds(BREEDS, confusion_KK)
    assert (beagle.recall, beagle.precision) == (Share(hits=3, n=4), Share(hits=3, n=5))
    assert beagle.taken_for == "pug"
    assert pug.recall.value is None
    assert pug.precision.value == 0
    assert samoyed.taken_for == "beagle"


def test_a_breed_neither_present_nor_answered_has_no_score() -> None:
    scores = figures.score_breeds(BREEDS, np.diag([2, 0, 1]))
    assert [score.breed for score in scores] == ["beagle", "samoyed"]
    assert all(score.taken_for is None for score in scores)


def test_confused_pairs_count_both_ways_and_the_worst_come_first() -> None:
    confusion_KK = np.array([[5, 2, 1], [1, 5, 0], [0, 4, 5]])
    mistakes = [
        Mistake(
            photo_id=f"m{i}",
            found_at="",
            breed=breed,
            answer=answer,
            probability=0.9 - i / 10,
            breed_probability=0.1,
        )
        for i, (breed, answer) in enumerate(
            [("samoyed", "pug")] * 4 + [("beagle", "pug"), ("pug", "beagle")]
        )
    ]
    first, second = figures.confused_pairs(BREEDS, confusion_KK, mistakes)
    assert (first.first, first.second) == ("pug", "samoyed")
    assert first.second_as_first == Share(hits=4, n=9)
    assert [m.photo_id for m in first.mistakes] == ["m0", "m1", "m2", "m3"]
    assert (second.first_as_second.hits, second.second_as_first.hits) == (2, 1)
    assert [m.photo_id for m in second.mistakes] == ["m4", "m5"]


def test_mistakes_carry_both_probabilities() -> None:
    (mistake,) = figures.confident_mistakes(_scored([0, 1], [2, 1], [0.7, 0.9]))
    assert (mistake.breed, mistake.answer, mistake.photo_id) == ("beagle", "samoyed", "p0")
    assert mistake.probability == pytest.approx(0.7)
    assert mistake.breed_probability == pytest.approx(0.15)


@given(st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_the_drawn_curve_keeps_its_ends_and_its_order(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores_NK = rng.dirichlet([1, 1, 1], n)
    curve = metrics.risk_coverage(scores_NK, rng.integers(0, 3, n))
    points = figures.risk_points(curve)
    assert 1 <= len(points) <= figures.CURVE_POINTS
    assert points[0].coverage == curve.coverage[0]
    assert points[-1].coverage == 1
    coverages = [point.coverage for point in points]
    assert coverages == sorted(set(coverages))


def test_unknown_breeds_are_counted_by_verdict_and_named() -> None:
    found = figures.unknown_breeds(
        [("labrador", Verdict.BREED), ("labrador", Verdict.UNSURE), ("akita", Verdict.NOT_A_DOG)],
        ("labrador_retriever", "pug"),
    )
    assert [(u.breed, u.nearest, u.named, u.unsure, u.not_a_dog) for u in found] == [
        ("akita", None, 0, 0, 1),
        ("labrador", "labrador_retriever", 1, 1, 0),
    ]


def test_the_closest_name_is_one_that_the_model_has() -> None:
    said = [(breed, Verdict.UNSURE) for breed in ("komondor", "puug", "beaglle", "labradoodel")]
    found = figures.unknown_breeds(said, (*BREEDS, "labradoodle"))
    assert {unknown.breed: unknown.nearest for unknown in found} == {
        "beaglle": "beagle",
        "komondor": None,
        "labradoodel": "labradoodle",
        "puug": "pug",
    }
    [boxr] = figures.unknown_breeds([("boxr", Verdict.UNSURE)], BREEDS)
    assert boxr.nearest is None  # it has no boxer
