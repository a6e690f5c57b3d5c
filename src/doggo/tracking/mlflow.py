"""MLflow as the tracker: SQLite in the home folder, or a server by URL.

Owns every call into MLflow and what must be set for it to be quiet. Knows nothing of training
or of the bundle store. MLflow is imported when it is first needed (seconds), never before.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from doggo.core.errors import StorageError, UsageError
from doggo.tracking.null import NullTracker
from doggo.tracking.port import Metric, TrackedVersion
from doggo.tracking.tolerant import TolerantTracker

VERSION_TAG, URI_TAG = "doggo.version", "doggo.bundle"
_BATCH = 1000  # the most metrics that MLflow takes in one request
_PARAM_LENGTH = 6000

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # halves the server's memory
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the default keeps a dead server for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "GIT_PYTHON_REFRESH": "quiet",
}


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
            "'none', or nothing for SQLite in DOGGO_HOME"
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
        with _mlflow_errors(self._url):
            self._client.log_batch(self.run_id, params=values)

    def log_metrics(self, metrics: Sequence[Metric]) -> None:
        from mlflow.entities import Metric as MlflowMetric

        now_ms = int(time.time() * 1000)
        values = [MlflowMetric(m.name, m.value, now_ms, m.step) for m in metrics]
        with _mlflow_errors(self._url):
            for start in range(0, len(values), _BATCH):
                self._client.log_batch(self.run_id, metrics=values[start : start + _BATCH])

    def log_file(self, file: Path, folder: str = "") -> None:
        with _mlflow_errors(self._url):
            self._client.log_artifact(self.run_id, str(file), folder or None)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        values = [RunTag(key, value) for key, value in tags.items()]
        with _mlflow_errors(self._url):
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
        with _mlflow_errors(self.url):
            created = client.create_run(
                self._experiment(client, experiment), run_name=name, tags=dict(tags)
            )
        run_id = str(created.info.run_id)
        status = "FINISHED"
        try:
            yield MlflowRun(client, run_id, self.url)
        except BaseException as error:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            raise
        finally:
            with _mlflow_errors(self.url):
                client.set_terminated(run_id, status)

    def mirror_version(self, version: TrackedVersion) -> None:
        client = self._open()
        tags = {VERSION_TAG: str(version.version), URI_TAG: version.uri, **version.tags}
        # A server refuses local paths as a source, so it is a name; the place is in a tag.
        source = f"bundle:/{version.model}/{version.version}"
        with _mlflow_errors(self.url):
            if not client.search_registered_models(f"name = '{version.model}'"):
                client.create_registered_model(version.model)
            known = self._mirrored(client, version.model).get(version.version)
            if known is None:
                client.create_model_version(version.model, source, run_id=version.run_id, tags=tags)
                return
            for key, value in tags.items():
                client.set_model_version_tag(version.model, known, key, value)

    def move_alias(self, model: str, alias: str, version: int | None) -> None:
        client = self._open()
        with _mlflow_errors(self.url):
            if version is None:
                if alias in self.aliases(model):
                    client.delete_registered_model_alias(model, alias)
                return
            number = self._mirrored(client, model).get(version)
            if number is None:
                raise StorageError(
                    f"the tracker at {self.url} has no version {version} of {model}: run "
                    "`doggo models sync`"
                )
            client.set_registered_model_alias(model, alias, number)

    def aliases(self, model: str) -> Mapping[str, int]:
        client = self._open()
        with _mlflow_errors(self.url):
            found = client.search_registered_models(f"name = '{model}'")
            if not found:
                return {}
            ours = {number: version for version, number in self._mirrored(client, model).items()}
            moved = found[0].aliases or {}
            return {
                str(alias): ours[str(number)]
                for alias, number in moved.items()
                if str(number) in ours
            }

    def _mirrored(self, client: Any, model: str) -> dict[int, str]:
        """Return the bundle store's version → MLflow's version of a model."""
        numbers: dict[int, str] = {}
        page = None
        while True:
            found = client.search_model_versions(f"name = '{model}'", page_token=page)
            for item in found:
                tag = item.tags.get(VERSION_TAG, "")
                if tag.isdigit():
                    numbers[int(tag)] = str(item.version)
            page = found.token
            if not page:
                return numbers

    def _experiment(self, client: Any, name: str) -> str:
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = f"{self._artifacts}/{name}" if self._artifacts else None
        return str(client.create_experiment(name, artifact_location=location))

    def _open(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = _connect(self.url)
            return self._client


def _connect(url: str) -> Any:
    for key, value in _QUIET.items():
        os.environ.setdefault(key, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    with _mlflow_errors(url):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=url, registry_uri=url)
        client.search_experiments(max_results=1)  # makes a fresh database, finds a dead server
    return client


@contextmanager
def _mlflow_errors(url: str) -> Iterator[None]:
    """Translate what MLflow, its HTTP client and its database raise into one line."""
    # MLflow 3.17.2 uses a loading strategy that SQLAlchemy 2.1 is about to drop. Not undone at
    # the end: `catch_warnings` is not safe beside other threads.
    warnings.filterwarnings("ignore", r"The ``noload`` loader strategy is deprecated")
    try:
        yield
    except StorageError:
        raise
    except ImportError as error:
        raise StorageError(
            "MLflow is not installed: install doggo with its `train` extra, or set "
            "DOGGO_TRACKER=none to keep no history"
        ) from error
    except Exception as error:
        # MlflowException, SQLAlchemy's and requests' errors share no parent of their own.
        if not type(error).__module__.startswith(("mlflow", "sqlalchemy", "requests", "builtins")):
            raise
        if type(error).__module__ == "builtins" and not isinstance(error, OSError):
            raise
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StorageError(f"the tracker at {_shown(url)} failed: {said[:200]}") from error


def _shown(url: str) -> str:
    """Return the URL without a password."""
    parts = urlsplit(url)
    return url.replace(f"{parts.username}:{parts.password}@", "") if parts.password else url


def ui_command(url: str, home: Path, *, host: str = "127.0.0.1", port: int = 5000) -> list[str]:
    """Return the command line that shows the tracker's pages, for `ui_environment`.

    Raises:
        UsageError: the tracker is a server already, whose pages are at its URL.
    """
    if url:
        raise UsageError(f"the tracker is a server: open {_shown(url)} in a browser")
    database, artifacts = store_urls(home)
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", database),
        *("--default-artifact-root", artifacts),
        *("--host", host, "--port", str(port), "--workers", "1"),
    ]


def ui_environment() -> dict[str, str]:
    """Return this process's environment with MLflow's telemetry and jobs turned off."""
    return {**_QUIET, **os.environ}
