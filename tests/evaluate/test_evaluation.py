"""An evaluation survives JSON, and what is none is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doggo.core.errors import InputError
from doggo.evaluate.evaluation import Evaluation, Share


def test_json_comes_back_equal(evaluation: Evaluation) -> None:
    assert Evaluation.from_json(evaluation.to_json()) == evaluation


def test_json_is_plain(evaluation: Evaluation) -> None:
    values = json.loads(evaluation.to_json())
    assert values["top1"] == {"hits": evaluation.top1.hits, "n": evaluation.top1.n}
    assert values["model"]["sha256"] == evaluation.model.sha256


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 99}, "format 99"),
        ({"top1": {"hits": "many", "n": 3}}, "top1.hits"),
        ({"surprise": 1}, "surprise"),
        ({"model": None}, "model"),
    ],
)
def test_what_is_no_evaluation_is_refused_with_its_place(
    evaluation: Evaluation, change: dict[str, object], words: str
) -> None:
    values = json.loads(evaluation.to_json()) | change
    with pytest.raises(InputError, match=words):
        Evaluation.from_json(json.dumps(values).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff\xfe", b"not json"])
def test_bytes_that_are_no_evaluation_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="not an evaluation"):
        Evaluation.from_json(data)


def test_headline_is_plain_numbers_for_a_tracker(evaluation: Evaluation) -> None:
    figures = evaluation.headline()
    assert all(type(value) is float for value in figures.values())
    assert figures["top1_low"] < figures["top1"] < figures["top1_high"]
    assert figures["photos"] == evaluation.top1.n
    assert figures["ece"] == evaluation.after.expected_calibration_error


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_share_lies_in_its_interval(a: int, b: int) -> None:
    share = Share(hits=min(a, b), n=max(a, b))
    low, high = share.interval
    if share.value is None:
        assert share.n == 0
    else:
        assert low <= share.value <= high
