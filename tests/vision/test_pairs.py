"""Pairs of runtime and precision: which exist here, and which is chosen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doggo.core.errors import UsageError
from doggo.vision import pairs
from doggo.vision.pairs import (
    LARGEST_LOSS,
    PAIRS,
    REFERENCE,
    Pair,
    Trial,
    choose_pair,
    fastest_pair,
    supported_pairs,
    usable_pairs,
)

FAST = Pair("openvino", "bf16")


def test_the_reference_always_works_and_the_others_say_why_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert supported_pairs()[REFERENCE] is None
    monkeypatch.setattr(pairs, "_has_bf16", lambda: False)
    assert supported_pairs()[FAST]
    monkeypatch.setattr(pairs.importlib.util, "find_spec", lambda name: None)
    assert "doggo[fast]" in str(supported_pairs()[FAST])
    assert usable_pairs() == (REFERENCE,)


def test_names_are_read_back_and_unknown_ones_refused() -> None:
    assert [Pair.parse(pair.name) for pair in PAIRS] == list(PAIRS)
    with pytest.raises(UsageError, match="choose one of onnxruntime-f32"):
        Pair.parse("onnxruntime-bf16")


def trial(pair: Pair, low: float, ms: float) -> Trial:
    return Trial(pair=pair, top1_difference=0, low=low, high=0.01, ms_per_photo=ms, photos=500)


def test_the_fastest_pair_that_surely_keeps_a_point_is_chosen() -> None:
    slow, fast = trial(REFERENCE, 0, 6.0), trial(FAST, -0.0099, 3.0)
    assert choose_pair([slow, fast]) == FAST
    assert choose_pair([slow, trial(FAST, -0.01, 3.0)]) == REFERENCE
    assert choose_pair([slow, fast], usable=[REFERENCE]) == REFERENCE
    assert choose_pair([]) == REFERENCE


@given(
    lows=st.lists(st.floats(-0.05, 0.05), min_size=3, max_size=3),
    times=st.lists(st.floats(0.1, 50), min_size=3, max_size=3),
    usable=st.sets(st.sampled_from(PAIRS)),
)
def test_no_choice_is_ever_unusable_or_lossy(
    lows: list[float], times: list[float], usable: set[Pair]
) -> None:
    trials = [trial(*values) for values in zip(PAIRS, lows, times, strict=True)]
    chosen = choose_pair(trials, usable | {REFERENCE})
    found = next(item for item in trials if item.pair == chosen)
    assert chosen in usable | {REFERENCE}
    assert chosen == REFERENCE or found.low > -LARGEST_LOSS


def test_half_precision_embeds_where_the_processor_has_it() -> None:
    assert fastest_pair() == max(usable_pairs(), key=PAIRS.index)
