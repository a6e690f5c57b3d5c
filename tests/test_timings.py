"""Seconds by stage, and libraries that load beside a long stage or when they are needed."""

from __future__ import annotations

import gc
import sys
import threading

import pytest

from doggo.timings import WORTH_A_THREAD, Libraries, Spans, Stopwatch
from doggo.tracking.null import NullTracker


def loading() -> bool:
    return any(thread.name == "doggo-load" for thread in threading.enumerate())


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


def test_few_photos_load_nothing_beside() -> None:
    told: list[tuple[str, int, int]] = []
    with Libraries(NullTracker()) as libraries:
        telling = libraries.load_beside(lambda *what: told.append(what))
        telling("intake", 0, WORTH_A_THREAD - 1)
        telling("intake", 500, WORTH_A_THREAD + 499)
        assert not loading()
    assert len(told) == 2


def test_many_photos_load_beside_and_once() -> None:
    with Libraries(NullTracker()) as libraries:
        telling = libraries.load_beside(lambda *_: None)
        telling("intake", 0, WORTH_A_THREAD)
        telling("intake", 1, WORTH_A_THREAD + 1)
        libraries.wait()
        assert not loading()
        assert "torch" in sys.modules
    assert gc.isenabled()


def test_what_fails_to_load_is_reported_where_it_is_used() -> None:
    class Broken(NullTracker):
        def prepare(self) -> None:
            raise OSError("the tracker's folder is gone")

    with Libraries(Broken()) as libraries:
        libraries.wait()
        libraries.wait()
    assert gc.isenabled()
