"""Where MLflow keeps what was Neptune's: experiments, tags, and registered models.

project           experiment `neptune/WORKSPACE/PROJECT`, or doggo's own for the two that it had
run               run; models and model versions are runs of `… models` with their own data
sys/*             tags `neptune.sys.*`; creation and end as MLflow's own times
model, version    registered model `neptune-…` and its versions, of the run beside it
stage             tag `neptune.stage`; the newest in production or staging has the alias
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from doggo.core.errors import UsageError
from doggo.tracking.mlflow import store_urls
from doggo.tracking.mlflow_client import connect, experiment_id, mlflow_errors
from doggo.tracking.neptune_export import Kind
from doggo.tracking.neptune_names import model_name, param_text

KEY_TAG, IMPORT_TAG, COMPLETE = "neptune.key", "neptune.import", "complete"
STAGE_TAG, VERSION_TAG = "neptune.stage", "neptune.version"
_ALIASES = ("production", "staging")
_METRICS, _PARAMS, _TAGS, _PAGE = 1000, 100, 100, 1000  # what MLflow takes in one request
_TAG_LENGTH = 5000


@dataclass(frozen=True, slots=True)
class Known:
    """A run that an import has made."""

    run_id: str
    complete: bool


class NeptuneArchive:
    """MLflow as the place for what was exported from Neptune."""

    def __init__(self, url: str, home: Path, projects: Mapping[str, str]) -> None:
        """Say where; nothing is opened yet.

        Args:
            url: of an MLflow server; empty: SQLite under `home`.
            projects: experiment of doggo's own → name or key of the Neptune project whose runs
                belong to it; empty: none.

        Raises:
            UsageError: the tracker is not MLflow.
        """
        if url and not url.startswith(("http://", "https://")):
            raise UsageError(
                f"an import goes into MLflow, and the tracker is {url!r}: unset DOGGO_TRACKER, or "
                "give an MLflow server"
            )
        self._url = url
        self._artifacts: str | None = None
        if not url:
            self._url, self._artifacts = store_urls(home)
        self._projects = projects
        self._known: dict[str, Known] = {}
        self._client: Any = None

    def load(self) -> None:
        """Open MLflow and learn what earlier imports have made."""
        self._client = connect(self._url)
        with mlflow_errors(self._url):
            places = [place.experiment_id for place in _all(self._client.search_experiments)]
            for run in _all(
                self._client.search_runs, places, f"tags.`{KEY_TAG}` LIKE '%'"
            ) if places else ():  # fmt: skip
                tags = run.data.tags
                known = Known(run.info.run_id, tags.get(IMPORT_TAG) == COMPLETE)
                self._known[tags[KEY_TAG]] = known

    def known(self, kind: Kind, project: str, run: str) -> Known | None:
        """Return the run that an earlier import made, whole or not."""
        return self._known.get(_key(kind, project, run))

    def begin(self, kind: Kind, project: str, run: str, system: Mapping[str, Any]) -> str:
        """Return the id of the run to write to: the one that was begun, or a new one."""
        key = _key(kind, project, run)
        if key in self._known:
            return self._known[key].run_id
        tags = {
            KEY_TAG: key,
            "neptune.kind": kind.value,
            "neptune.project": project,
            "neptune.run_id": run,
        }
        name = system.get("custom_run_id") or run
        with mlflow_errors(self._url):
            created = self._client.create_run(
                experiment_id(self._client, self._place(kind, project, run), self._artifacts),
                start_time=_ms(system.get("creation_time")),
                run_name=str(name),
                tags=tags,
            )
        self._known[key] = Known(str(created.info.run_id), complete=False)
        return self._known[key].run_id

    def params(self, run_id: str, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        self._batches(run_id, "params", [Param(k, v) for k, v in params.items()], _PARAMS)

    def metrics(self, run_id: str, metrics: Sequence[tuple[str, float, int, int]]) -> None:
        """Keep figures: (name, value, step, time in ms)."""
        from mlflow.entities import Metric

        values = [Metric(name, value, moment, step) for name, value, step, moment in metrics]
        self._batches(run_id, "metrics", values, _METRICS)

    def file(self, run_id: str, file: Path, folder: str) -> None:
        with mlflow_errors(self._url):
            self._client.log_artifact(run_id, str(file), folder or None)

    def end(self, run_id: str, system: Mapping[str, Any], *, complete: bool) -> None:
        """End a run as Neptune knew it; the mark that it is whole is written last."""
        from mlflow.entities import RunTag

        tags = [
            RunTag(f"neptune.sys.{name}".replace("/", "."), param_text(value)[:_TAG_LENGTH])
            for name, value in system.items()
        ]
        self._batches(run_id, "tags", tags, _TAGS)
        ended = _ms(system.get("modification_time")) or _ms(system.get("creation_time"))
        status = "FAILED" if system.get("failed") is True else "FINISHED"
        with mlflow_errors(self._url):
            self._client.set_terminated(run_id, status, end_time=ended)
            self._client.set_tag(run_id, IMPORT_TAG, COMPLETE if complete else "files missing")

    def register(self, run_id: str, project: str, version: str, system: Mapping[str, Any]) -> None:
        """Show a model version in the registry, once."""
        model, _, _ = version.rpartition("-")
        name = model_name(project, str(system.get("model_id") or model))
        tags = {VERSION_TAG: version, STAGE_TAG: str(system.get("stage") or "none")}
        with mlflow_errors(self._url):
            if not self._client.search_registered_models(f"name = '{name}'"):
                self._client.create_registered_model(name, tags={"neptune.project": project})
            shown = {item.tags.get(VERSION_TAG) for item in self._versions(name)}
            if version not in shown:
                source = self._client.get_run(run_id).info.artifact_uri
                self._client.create_model_version(name, source, run_id=run_id, tags=tags)

    def point_aliases(self) -> None:
        """Point each alias at the newest version of its stage."""
        with mlflow_errors(self._url):
            for model in _all(self._client.search_registered_models, "name LIKE 'neptune-%'"):
                versions = sorted(self._versions(model.name), key=lambda item: int(item.version))
                newest = {item.tags.get(STAGE_TAG): item.version for item in versions}
                for alias in _ALIASES:
                    wanted = newest.get(alias)
                    if wanted and str((model.aliases or {}).get(alias)) != str(wanted):
                        self._client.set_registered_model_alias(model.name, alias, wanted)

    def _place(self, kind: Kind, project: str, run: str) -> str:
        """Return the name of the experiment for a run, or for an object of the registry."""
        if kind != Kind.RUN:
            return f"neptune/{project} models"
        for own, named in self._projects.items():
            # Neptune's run ids begin with the project's key; names may leave the workspace out.
            names = (project, project.rpartition("/")[2], run.rpartition("-")[0])
            if named and named in names:
                return own
        return f"neptune/{project}"

    def _versions(self, model: str) -> list[Any]:
        return list(_all(self._client.search_model_versions, f"name = '{model}'"))

    def _batches(self, run_id: str, name: str, values: Sequence[Any], size: int) -> None:
        with mlflow_errors(self._url):
            for start in range(0, len(values), size):
                self._client.log_batch(run_id, **{name: values[start : start + size]})


def _key(kind: Kind, project: str, run: str) -> str:
    return hashlib.sha256(f"{kind.value}\0{project}\0{run}".encode()).hexdigest()[:32]


def _ms(moment: object) -> int | None:
    return int(moment.timestamp() * 1000) if isinstance(moment, datetime) else None


def _all(search: Callable[..., Any], *arguments: object) -> Iterator[Any]:
    """Yield what a search of MLflow finds, page by page."""
    page = None
    while True:
        found = search(*arguments, max_results=_PAGE, page_token=page)
        yield from found
        page = found.token
        if not page:
            return
