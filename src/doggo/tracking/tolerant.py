"""A tracker that may fail without taking the work with it.

Owns that rule alone: the first failure is logged as one line and kept, later calls do nothing.
A trained model is worth more than the record of how it was trained.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from doggo.core.errors import StorageError
from doggo.tracking.port import (
    HistoryTracker,
    KeptRun,
    Metric,
    RegisteredModel,
    Run,
    TrackedVersion,
)

log = logging.getLogger(__name__)


class TolerantTracker:
    """Passes everything on until the tracker behind it fails.

    Attributes:
        failure: the line that said why, or None.
    """

    def __init__(self, tracker: HistoryTracker) -> None:
        self._tracker = tracker
        self.failure: str | None = None

    def prepare(self) -> None:
        """Do early what the first run needs; if that fails, the run will tell."""
        try:
            self._tracker.prepare()
        except StorageError as error:
            log.info("tracker.not_prepared %s", error)

    @contextmanager
    def start(self, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[Run]:
        """Open a run; what is raised inside the block passes through unchanged."""
        opened = self._tracker.start(experiment, name, tags)
        run: Run | None = None
        if self.failure is None:
            try:
                run = opened.__enter__()
            except StorageError as error:
                self._note(error)
        try:
            yield _TolerantRun(self, run)
        except BaseException as error:
            if run is not None:
                try:
                    opened.__exit__(type(error), error, error.__traceback__)
                except StorageError as second:  # the failure of the work is the news
                    self._note(second, level=logging.INFO)
            raise
        if run is not None:
            try:
                opened.__exit__(None, None, None)
            except StorageError as error:
                self._note(error)

    def mirror_version(self, version: TrackedVersion) -> None:
        self.attempt(lambda: self._tracker.mirror_version(version))

    def move_alias(self, model: str, alias: str, version: int | None) -> None:
        self.attempt(lambda: self._tracker.move_alias(model, alias, version))

    def registered(self, model: str) -> RegisteredModel:
        """Return the model; unlike the rest this raises, since no answer is not 'none'."""
        return self._tracker.registered(model)

    def finished(self, experiment: str, tag: str, value: str) -> KeptRun | None:
        """Return the run, or None also when the tracker fails: then it is run again."""
        found: list[KeptRun | None] = []
        self.attempt(lambda: found.append(self._tracker.finished(experiment, tag, value)))
        return found[0] if found else None

    def move_under(self, run_id: str, parent_id: str) -> None:
        self.attempt(lambda: self._tracker.move_under(run_id, parent_id))

    def attempt(self, call: Callable[[], None]) -> None:
        """Call unless the tracker has failed before."""
        if self.failure is not None:
            return
        try:
            call()
        except StorageError as error:
            self._note(error)

    def _note(self, error: StorageError, level: int = logging.WARNING) -> None:
        if self.failure is None:
            self.failure = str(error)
            log.log(level, "tracker.failed the work goes on without it: %s", error)


class _TolerantRun:
    def __init__(self, tracker: TolerantTracker, run: Run | None) -> None:
        self._tracker = tracker
        self._run = run

    @property
    def run_id(self) -> str | None:
        return self._run.run_id if self._run is not None else None

    def log_params(self, params: Mapping[str, str]) -> None:
        self._attempt(lambda run: run.log_params(params))

    def log_metrics(self, metrics: Sequence[Metric]) -> None:
        self._attempt(lambda run: run.log_metrics(metrics))

    def log_file(self, file: Path, folder: str = "") -> None:
        self._attempt(lambda run: run.log_file(file, folder))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._attempt(lambda run: run.set_tags(tags))

    def _attempt(self, call: Callable[[Run], None]) -> None:
        run = self._run
        if run is not None:
            self._tracker.attempt(lambda: call(run))
