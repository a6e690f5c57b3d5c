"""Batches come in order, made ready ahead of time, and failures in their turn."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from doggo.vision.ahead import prepared


def test_every_item_comes_once_and_in_order() -> None:
    made = list(prepared(range(10), sum, size=4))
    assert made == [(range(4), 6), (range(4, 8), 22), (range(8, 10), 17)]
    assert list(prepared([], len, size=4)) == []


def test_the_next_batch_is_made_while_this_one_is_used() -> None:
    second = threading.Event()

    def prepare(batch: Sequence[int]) -> int:
        if batch[0] == 1:
            second.set()
        return batch[0]

    batches = prepared([0, 1, 2, 3], prepare, size=1)
    assert next(batches) == ([0], 0)
    assert second.wait(timeout=10)
    assert [ready for _, ready in batches] == [1, 2, 3]


def test_a_failure_is_raised_in_its_turn_and_the_rest_is_not_begun() -> None:
    begun = []

    def prepare(batch: Sequence[int]) -> int:
        begun.append(batch[0])
        if batch[0] == 1:
            raise OSError("torn")
        return batch[0]

    batches = prepared(range(100), prepare, size=1)
    assert next(batches)[1] == 0
    with pytest.raises(OSError, match="torn"):
        next(batches)
    assert len(begun) < 10


def test_whoever_stops_early_leaves_no_thread() -> None:
    batches = prepared(range(100), len, size=1)
    next(batches)
    batches.close()  # type: ignore[attr-defined]  # it is a generator
    assert not any(thread.name.startswith("prepare") for thread in threading.enumerate())
