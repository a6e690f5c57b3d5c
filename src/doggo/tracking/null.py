"""A tracker that keeps nothing beyond the process: for `DOGGO_TRACKER=none`, and for tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from doggo.core.errors import StorageError
from doggo.tracking.port import KeptRun, Metric, RegisteredModel, TrackedVersion


@dataclass
class NullRun:
    """What one run was told, for as long as the process lives."""

    experiment: str
    name: str
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    status: str = "RUNNING"
    run_id: str | None = None

    def log_params(self, params: Mapping[str, str]) -> None:
        self.params.update(params)

    def log_metrics(self, metrics: Sequence[Metric]) -> None:
        self.metrics.extend(metrics)

    def log_file(self, file: Path, folder: str = "") -> None:
        self.files.append(f"{folder}/{file.name}".lstrip("/"))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self.tags.update(tags)


class NullTracker:
    """Forgets everything at exit."""

    def __init__(self) -> None:
        self.runs: list[NullRun] = []
        self._versions: dict[str, dict[int, TrackedVersion]] = {}
        self._aliases: dict[str, dict[str, int]] = {}
        self._left: dict[str, dict[str, set[int]]] = {}

    def prepare(self) -> None:
        return None

    @contextmanager
    def start(self, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[NullRun]:
        run = NullRun(experiment, name, dict(tags))
        self.runs.append(run)
        try:
            yield run
        except BaseException as error:
            run.status = "FAILED" if isinstance(error, Exception) else "KILLED"
            raise
        run.status = "FINISHED"

    def mirror_version(self, version: TrackedVersion) -> None:
        self._versions.setdefault(version.model, {})[version.version] = version

    def move_alias(self, model: str, alias: str, version: int | None) -> None:
        aliases = self._aliases.setdefault(model, {})
        if version is None:
            aliases.pop(alias, None)
        elif version in self._versions.get(model, {}):
            aliases[alias] = version
        else:
            raise StorageError(f"the tracker has no version {version} of {model}")
        self._left.setdefault(model, {})[alias] = set() if version is None else {version}

    def registered(self, model: str) -> RegisteredModel:
        return RegisteredModel(
            versions=dict(self._versions.get(model, {})),
            aliases=dict(self._aliases.get(model, {})),
            left=dict(self._left.get(model, {})),
        )

    def finished(self, experiment: str, tag: str, value: str) -> KeptRun | None:
        for run in reversed(self.runs):
            found = run.experiment == experiment and run.tags.get(tag) == value
            if found and run.status == "FINISHED":
                metrics = sorted(run.metrics, key=lambda metric: (metric.name, metric.step))
                return KeptRun(run_id=run.run_id, metrics=tuple(metrics))
        return None

    def move_under(self, run_id: str, parent_id: str) -> None:
        return None  # no run here has an id
