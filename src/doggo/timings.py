"""How long each stage took, and the seconds that loading libraries costs, spent alongside."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from doggo.core.progress import Progress
from doggo.results import Timing

if TYPE_CHECKING:
    from doggo.stores import Stores


class Stopwatch:
    """Wall seconds by stage, in the order of the stages."""

    def __init__(self) -> None:
        self.timings: list[Timing] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside; a stage that fails is not noted."""
        started_s = time.perf_counter()
        yield
        self.timings.append(Timing(name, time.perf_counter() - started_s))


class Spans:
    """Seconds from the first to the last word of each stage that reports its progress."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._last[stage] = time.perf_counter()
        self._first.setdefault(stage, self._last[stage])
        self._progress(stage, done, total)

    def of(self, stage: str) -> Timing:
        """Return a stage's span as a part of another one."""
        seconds = self._last.get(stage, 0.0) - self._first.get(stage, 0.0)
        return Timing(f"of which {stage}", seconds)


class Libraries:
    """Imports torch, Lightning and MLflow in a thread while worker processes decode photos.

    They take seven seconds, and the parent process of a decoding stage has little to do. What
    fails to import fails again, and is reported, where it is used.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._thread: threading.Thread | None = None

    def load_beside(self, progress: Progress) -> Progress:
        """Return `progress`, with loading begun once the first photos are through.

        A folder with nothing in it fails at once, and loads nothing.
        """

        def told(stage: str, done: int, total: int) -> None:
            if done and self._thread is None:
                self._thread = threading.Thread(target=self._load, name="doggo-load", daemon=True)
                self._thread.start()
            progress(stage, done, total)

        return told

    def __enter__(self) -> Libraries:
        return self

    def __exit__(self, *_: object) -> None:
        # An interpreter must not end while a thread is in the middle of loading torch.
        self.wait()

    def wait(self) -> None:
        """Return when all is loaded."""
        if self._thread is not None:
            self._thread.join()

    def _load(self) -> None:
        try:
            import doggo.export.run
            import doggo.train.run  # noqa: F401

            self._stores.tracker.prepare()
        except Exception:  # noqa: BLE001, S110 - see the class
            pass
