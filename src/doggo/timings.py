"""How long each stage took, and the seconds that loading libraries costs, spent alongside."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from doggo.core.progress import Progress
from doggo.results import Timing

if TYPE_CHECKING:
    from doggo.tracking.port import Tracker

log = logging.getLogger(__name__)

WORTH_A_THREAD = 1000
"""Photos still to be decoded that make loading libraries beside them worth while."""


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

    def parts(self, *stages: str) -> list[Timing]:
        """Return the spans of those stages that were told of, as parts of another one."""
        return [
            Timing(f"of which {stage}", self._last[stage] - self._first[stage])
            for stage in stages
            if stage in self._first
        ]


class Libraries:
    """Imports torch, Lightning and MLflow: six seconds of one core.

    While worker processes decode many photos, a thread imports beside them. For a few photos
    that would only be slower: both hold the interpreter's lock. What fails to import fails
    again, and is reported, where it is used.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._thread: threading.Thread | None = None
        self._loaded = False

    def load_beside(self, progress: Progress) -> Progress:
        """Return `progress`, with loading begun once many photos are seen.

        A folder with nothing in it fails at once, and loads nothing.
        """

        def told(stage: str, done: int, total: int) -> None:
            if self._thread is None and total - done >= WORTH_A_THREAD:
                self._thread = threading.Thread(target=self._load, name="doggo-load", daemon=True)
                self._thread.start()
            progress(stage, done, total)

        return told

    def __enter__(self) -> Libraries:
        return self

    def __exit__(self, *_: object) -> None:
        # An interpreter must not end while a thread is in the middle of loading torch.
        if self._thread is not None:
            self._thread.join()

    def wait(self) -> None:
        """Return when all is loaded; load it now if that was not begun."""
        if self._thread is not None:
            self._thread.join()
        elif not self._loaded:
            self._load()

    def _load(self) -> None:
        # Importing makes two million objects that stay: looking for garbage among them takes a
        # second or two and finds none.
        collecting = gc.isenabled()
        gc.disable()
        try:
            import doggo.export.run
            import doggo.train.run  # noqa: F401

            self._tracker.prepare()
        except Exception:
            log.info("libraries.failed_to_load", exc_info=True)
        finally:
            self._loaded = True
            if collecting:
                gc.enable()
