"""How long each stage took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from doggo.core.progress import Progress
from doggo.results import Timing


class Stopwatch:
    """Wall seconds by stage, in the order of the stages."""

    def __init__(self) -> None:
        self.timings: list[Timing] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside, in addition to what is noted; a failure is not noted."""
        started_s = time.perf_counter()
        yield
        spent_s = time.perf_counter() - started_s
        for place, timing in enumerate(self.timings):
            if timing.stage == name:
                self.timings[place] = Timing(name, timing.seconds + spent_s)
                return
        self.timings.append(Timing(name, spent_s))

    def seconds(self, stage: str) -> float:
        """Return how long a stage took; 0 if there was none."""
        return sum(timing.seconds for timing in self.timings if timing.stage == stage)


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
