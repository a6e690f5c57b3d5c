"""Progress told by one process and shown by another."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import SimpleQueue

from doggo.core.progress import Progress

Word = tuple[str, int, int] | None


class _Sent:
    """Progress that goes through a queue; it can be handed to a process that is being started."""

    def __init__(self, queue: SimpleQueue[Word]) -> None:
        self._queue = queue

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._queue.put((stage, done, total))


@contextmanager
def relayed(progress: Progress) -> Iterator[Progress]:
    """Give a progress that child processes may call; `progress` hears it from a thread here."""
    queue: SimpleQueue[Word] = multiprocessing.get_context("spawn").SimpleQueue()

    def listen() -> None:
        while (word := queue.get()) is not None:
            progress(*word)

    thread = threading.Thread(target=listen, name="doggo-progress", daemon=True)
    thread.start()
    try:
        yield _Sent(queue)
    finally:
        queue.put(None)
        thread.join()
