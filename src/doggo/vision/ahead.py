"""Batches that are made ready while the network is busy with the one before.

Owns the thread and how far it runs ahead. Knows nothing of what a batch is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Ready = TypeVar("Ready")

_AHEAD = 2


def prepared(
    items: Sequence[Item], prepare: Callable[[Sequence[Item]], Ready], size: int
) -> Iterator[tuple[Sequence[Item], Ready]]:
    """Yield the items in batches of `size`, each with what `prepare` made of it in a thread.

    What `prepare` raises is raised here, in its batch's turn.
    """
    waiting: deque[tuple[Sequence[Item], Future[Ready]]] = deque()
    with ThreadPoolExecutor(1, "prepare") as thread:
        try:
            for start in range(0, len(items), size):
                batch = items[start : start + size]
                waiting.append((batch, thread.submit(prepare, batch)))
                if len(waiting) > _AHEAD:
                    yield _take(waiting)
            while waiting:
                yield _take(waiting)
        finally:
            thread.shutdown(wait=False, cancel_futures=True)


def _take(waiting: deque[tuple[Sequence[Item], Future[Ready]]]) -> tuple[Sequence[Item], Ready]:
    batch, ready = waiting.popleft()
    return batch, ready.result()
