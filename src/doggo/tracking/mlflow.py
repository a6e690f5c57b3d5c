"""MLflow as the tracker: SQLite in the home folder, or a server by URL.

Owns what of a run and of the registry MLflow keeps, and under which names. Knows nothing of
training or of the bundle store. MLflow is imported when it is first needed (seconds).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from doggo.core.errors import StorageError, UsageError
from doggo.tracking.mlflow_client import QUIET, connect, experiment_id, mlflow_errors, shown
from doggo.tracking.null import NullTracker
from doggo.tracking.port import PARENT_TAG, KeptRun, Metric, RegisteredModel, TrackedVersion
from doggo.tracking.tolerant import TolerantTracker

VERSION_TAG, URI_TAG = "doggo.version", "doggo.bundle"
STATE_TAG, ARCHIVED = "state", "archived"
LEFT_TAG = "doggo.alias."
"""Begins a tag of a registered model: where doggo itself left an alias, or `none`."""
_NESTED = "mlflow.parentRunId"  # by which MLflow's pages fold runs under another
_BATCH = 1000  # the most metrics that MLflow takes in one request
_PARAM_LENGTH = 6000


def open_tracker(url: str, home: Path) -> TolerantTracker:
    """Return the tracker that the settings name; it opens at its first use.

    Args:
        url: empty: MLflow on SQLite under `home`; `none`: keeps nothing; else a server.

    Raises:
        UsageError: the URL is none of these.
    """
    if url == "none":
        return TolerantTracker(NullTracker())
    if not url:
        return TolerantTracker(MlflowTracker(*store_urls(home)))
    if not url.startswith(("http://", "https://")):
        raise UsageError(
            f"cannot use tracker {url!r}: give the http:// or https:// URL of an MLflow server, "
            "'neptune-offline:FOLDER', 'none', or nothing for SQLite in DOGGO_HOME"
        )
    return TolerantTracker(MlflowTracker(url))


def store_urls(home: Path) -> tuple[str, str]:
    """Return the URLs of the embedded database and its artefacts under `home`."""
    folder = (home / "tracker").absolute()
    return f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri()


class MlflowRun:
    """One MLflow run."""

    def __init__(self, client: Any, run_id: str, url: str) -> None:
        self._client = client
        self._url = url
        self.run_id: str | None = run_id

    def log_params(self, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        values = [Param(key, value[:_PARAM_LENGTH]) for key, value in params.items()]
        with mlflow_errors(self._url):
            self._client.log_batch(self.run_id, params=values)

    def log_metrics(self, metrics: Sequence[Metric]) -> None:
        from mlflow.entities import Metric as MlflowMetric

        now_ms = int(time.time() * 1000)
        values = [MlflowMetric(m.name, m.value, now_ms, m.step) for m in metrics]
        with mlflow_errors(self._url):
            for start in range(0, len(values), _BATCH):
                self._client.log_batch(self.run_id, metrics=values[start : start + _BATCH])

    def log_file(self, file: Path, folder: str = "") -> None:
        with mlflow_errors(self._url):
            self._client.log_artifact(self.run_id, str(file), folder or None)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        values = [RunTag(key, value) for key, value in tags.items()]
        with mlflow_errors(self._url):
            self._client.log_batch(self.run_id, tags=values)


class MlflowTracker:
    """Runs and a mirror of the registry in MLflow."""

    def __init__(self, url: str, artifacts: str | None = None) -> None:
        """Say where; nothing is opened yet.

        Args:
            url: `sqlite:///…` or that of a server.
            artifacts: URL under which new experiments keep files; None: the server decides.
        """
        self.url = url
        self._artifacts = artifacts
        self._lock = threading.Lock()
        self._client: Any = None

    def prepare(self) -> None:
        self._open()

    @contextmanager
    def start(self, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[MlflowRun]:
        client = self._open()
        with mlflow_errors(self.url):
            created = client.create_run(
                experiment_id(client, experiment, self._artifacts),
                run_name=name,
                tags=_nested(tags),
            )
        run_id = str(created.info.run_id)
        status = "FINISHED"
        try:
            yield MlflowRun(client, run_id, self.url)
        except BaseException as error:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            raise
        finally:
            with mlflow_errors(self.url):
                client.set_terminated(run_id, status)

    def mirror_version(self, version: TrackedVersion) -> None:
        client = self._open()
        tags = {VERSION_TAG: str(version.version), URI_TAG: version.uri, **version.tags}
        # A server refuses local paths as a source, so it is a name; the place is in a tag.
        source = f"bundle:/{version.model}/{version.version}"
        with mlflow_errors(self.url):
            if not client.search_registered_models(f"name = '{version.model}'"):
                client.create_registered_model(version.model)
            known = self._mirrored(client, version.model).get(version.version)
            if version.archived:
                tags[STATE_TAG] = ARCHIVED
            if known is None:
                client.create_model_version(version.model, source, run_id=version.run_id, tags=tags)
                return
            for key, value in tags.items():
                client.set_model_version_tag(version.model, known.version, key, value)
            if known.tags.get(STATE_TAG) == ARCHIVED and not version.archived:
                client.delete_model_version_tag(version.model, known.version, STATE_TAG)

    def move_alias(self, model: str, alias: str, version: int | None) -> None:
        client = self._open()
        with mlflow_errors(self.url):
            found = client.search_registered_models(f"name = '{model}'")
            mirrored = self._mirrored(client, model)
            if version is not None and version not in mirrored:
                raise StorageError(
                    f"the tracker at {self.url} has no version {version} of {model}: run "
                    "`doggo models sync`"
                )
            if not found:
                return
            # Both ends are marked before the move: cut short, it must not look like a person's.
            ends = {_aliases(found[0], mirrored).get(alias), version}
            client.set_registered_model_tag(model, LEFT_TAG + alias, _places(ends))
            if version is not None:
                client.set_registered_model_alias(model, alias, mirrored[version].version)
            elif alias in (found[0].aliases or {}):
                client.delete_registered_model_alias(model, alias)
            client.set_registered_model_tag(model, LEFT_TAG + alias, _places({version}))

    def registered(self, model: str) -> RegisteredModel:
        client = self._open()
        with mlflow_errors(self.url):
            found = client.search_registered_models(f"name = '{model}'")
            if not found:
                return RegisteredModel()
            mirrored = self._mirrored(client, model)
        tags = found[0].tags or {}
        return RegisteredModel(
            versions={number: _tracked(item, number) for number, item in mirrored.items()},
            aliases=_aliases(found[0], mirrored),
            left={
                key.removeprefix(LEFT_TAG): {int(word) for word in said.split() if word.isdigit()}
                for key, said in tags.items()
                if key.startswith(LEFT_TAG)
            },
        )

    def finished(self, experiment: str, tag: str, value: str) -> KeptRun | None:
        client = self._open()
        with mlflow_errors(self.url):
            known = client.get_experiment_by_name(experiment)
            if known is None:
                return None
            runs = client.search_runs(
                [known.experiment_id],
                f"tags.`{tag}` = '{value}' and attributes.status = 'FINISHED'",
                max_results=1,
                order_by=["attributes.start_time DESC"],
            )
            if not runs:
                return None
            run_id = str(runs[0].info.run_id)
            metrics = [
                Metric(name, float(kept.value), int(kept.step))
                for name in sorted(runs[0].data.metrics)
                for kept in client.get_metric_history(run_id, name)
            ]
        metrics.sort(key=lambda metric: (metric.name, metric.step))
        return KeptRun(run_id=run_id, metrics=tuple(metrics))

    def move_under(self, run_id: str, parent_id: str) -> None:
        MlflowRun(self._open(), run_id, self.url).set_tags(_nested({PARENT_TAG: parent_id}))

    def _mirrored(self, client: Any, model: str) -> dict[int, Any]:
        """Return the bundle store's version → MLflow's record of it."""
        items: dict[int, Any] = {}
        page = None
        while True:
            found = client.search_model_versions(f"name = '{model}'", page_token=page)
            for item in found:
                tag = item.tags.get(VERSION_TAG, "")
                if tag.isdigit():
                    items[int(tag)] = item
            page = found.token
            if not page:
                return items

    def _open(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = connect(self.url)
            return self._client


def _aliases(model: Any, mirrored: Mapping[int, Any]) -> dict[str, int]:
    """Return alias → version of the bundle store; what names a version of others is left out."""
    ours = {str(item.version): number for number, item in mirrored.items()}
    moved = model.aliases or {}
    return {str(a): ours[str(number)] for a, number in moved.items() if str(number) in ours}


def _places(versions: Iterable[int | None]) -> str:
    return " ".join(sorted(str(v) for v in versions if v is not None)) or "none"


def _tracked(item: Any, version: int) -> TrackedVersion:
    return TrackedVersion(
        model=item.name,
        version=version,
        uri=item.tags.get(URI_TAG, ""),
        run_id=item.run_id or None,
        tags=dict(item.tags),
        archived=item.tags.get(STATE_TAG) == ARCHIVED,
    )


def _nested(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags, with MLflow's own one where a run belongs to another."""
    parent = tags.get(PARENT_TAG)
    return {**tags, _NESTED: parent} if parent else dict(tags)


def ui_command(url: str, home: Path, *, port: int = 5000) -> list[str]:
    """Return the command line that shows the tracker's pages, for `ui_environment`.

    Raises:
        UsageError: the tracker is a server already, whose pages are at its URL.
    """
    if url and not url.startswith(("http://", "https://")):
        raise UsageError(f"the tracker is {url!r}, which has no pages: unset DOGGO_TRACKER")
    if url:
        raise UsageError(f"the tracker is a server: open {shown(url)} in a browser")
    database, artifacts = store_urls(home)
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", database),
        *("--default-artifact-root", artifacts),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
    ]


def ui_environment() -> dict[str, str]:
    """Return this process's environment with MLflow's telemetry and jobs turned off."""
    return {**QUIET, **os.environ}
