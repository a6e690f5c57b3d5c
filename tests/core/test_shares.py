"""A probability in words: near the truth, and never certain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doggo.core.shares import share


@pytest.mark.parametrize(
    ("probability", "whole", "tenths"),
    [
        (0.0, "<1", "<0.1"),
        (0.0009, "<1", "<0.1"),
        (0.004, "<1", "0.4"),
        (0.01, "1", "1.0"),
        (0.8617, "86", "86.2"),
        (0.994, "99", "99.4"),
        (0.9949, "99", "99.5"),
        (0.995, ">99", "99.5"),
        (0.9994, ">99", "99.9"),
        (0.9996, ">99", ">99.9"),
        (1.0, ">99", ">99.9"),
    ],
)
def test_it_is_rounded_and_never_certain(probability: float, whole: str, tenths: str) -> None:
    assert share(probability) == whole
    assert share(probability, 1) == tenths


@given(st.floats(0, 1), st.sampled_from([0, 1, 2]))
def test_what_it_says_holds(probability: float, decimals: int) -> None:
    said, step = share(probability, decimals), 10.0**-decimals
    number = float(said.lstrip("<>"))
    assert 0 < number < 100
    if said.startswith("<"):
        assert 100 * probability < number
    elif said.startswith(">"):
        assert 100 * probability > number
    else:
        assert abs(100 * probability - number) <= step / 2 + 1e-9
