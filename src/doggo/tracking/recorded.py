"""A run whose figures stay at hand: whoever needs them need not ask the tracker for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from doggo.tracking.port import Metric, Run


class RecordedRun:
    """Passes everything on to a run and keeps its `metrics`, in the order they came."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.metrics: list[Metric] = []

    @property
    def run_id(self) -> str | None:
        return self._run.run_id

    def log_params(self, params: Mapping[str, str]) -> None:
        self._run.log_params(params)

    def log_metrics(self, metrics: Sequence[Metric]) -> None:
        self.metrics.extend(metrics)
        self._run.log_metrics(metrics)

    def log_file(self, file: Path, folder: str = "") -> None:
        self._run.log_file(file, folder)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._run.set_tags(tags)
