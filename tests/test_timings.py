"""Seconds by stage."""

from __future__ import annotations

import pytest

from doggo.timings import Spans, Stopwatch


def test_a_stage_that_fails_is_not_noted() -> None:
    watch = Stopwatch()
    with watch.stage("good"):
        pass
    with pytest.raises(ValueError, match="bad"), watch.stage("bad"):
        raise ValueError("bad")
    assert [timing.stage for timing in watch.timings] == ["good"]


def test_spans_run_from_the_first_word_to_the_last_and_pass_them_on() -> None:
    told: list[tuple[str, int, int]] = []
    spans = Spans(lambda *what: told.append(what))
    spans("embed", 0, 2)
    spans("embed", 2, 2)
    assert told == [("embed", 0, 2), ("embed", 2, 2)]
    (embed,) = spans.parts("embed", "never")
    assert embed.stage == "of which embed"
    assert embed.seconds >= 0


def test_a_stage_in_two_parts_is_one_stage() -> None:
    watch = Stopwatch()
    for stage in ("load", "train", "load"):
        with watch.stage(stage):
            pass
    assert [timing.stage for timing in watch.timings] == ["load", "train"]
    assert watch.seconds("load") == watch.timings[0].seconds > 0
    assert watch.seconds("never") == 0
