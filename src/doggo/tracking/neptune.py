"""Neptune's client without its service: runs as offline folders, for those who keep its files.

Owns which field of a run holds what, and a small file beside them. The hosted service closed in
March 2026 and nothing here talks to a network: a token is neither needed nor read. Neptune keeps
its model registry and changes of runs that are over in its service alone; here they are in
`registry.json`. The client is imported when it is first needed, never before.

    DIR/.neptune/offline/run__…   what the client writes, one folder a run
    DIR/files/RUN_ID/…            copies of files: the client notes only where a file lay
    DIR/registry.json             versions, aliases, and runs that were moved under others
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import uuid
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from doggo.core.errors import StorageError
from doggo.storage.json_files import read_json, to_bytes
from doggo.tracking.neptune_offline import find_run, offline_folder
from doggo.tracking.port import PARENT_TAG, KeptRun, Metric, RegisteredModel, TrackedVersion

PREFIX = "neptune-offline:"
"""How DOGGO_TRACKER names it, before the folder."""


class NeptuneRun:
    """One offline run."""

    def __init__(self, run: Any, run_id: str, root: Path) -> None:
        self._run = run
        self._root = root
        self.run_id: str | None = run_id

    def log_params(self, params: Mapping[str, str]) -> None:
        self._assign("parameters", params)

    def log_metrics(self, metrics: Sequence[Metric]) -> None:
        by_name: dict[str, list[Metric]] = defaultdict(list)
        for metric in metrics:
            by_name[metric.name].append(metric)
        with _neptune_errors(self._root):
            for name, series in by_name.items():
                finite = [metric for metric in series if math.isfinite(metric.value)]
                odd = [f"{m.value} at {m.step}" for m in series if not math.isfinite(m.value)]
                if finite:
                    values, steps = [m.value for m in finite], [float(m.step) for m in finite]
                    self._run[f"metrics/{name}"].extend(values, steps=steps)
                if odd:  # the client would leave them out
                    self._run[f"not_finite/{name}"] = ", ".join(odd)

    def log_file(self, file: Path, folder: str = "") -> None:
        name = f"{folder}/{file.name}".lstrip("/")
        copy = self._root / "files" / str(self.run_id) / name
        with _neptune_errors(self._root):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            self._run[f"files/{name}"].upload(str(copy))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._assign("tags", tags)

    def end(self, status: str) -> None:
        """Write how it ended, and close it."""
        with _neptune_errors(self._root):
            self._run["sys/failed"] = status != "FINISHED"
            self._assign("doggo", {"status": status})
            self._run.stop()

    def _assign(self, folder: str, values: Mapping[str, str]) -> None:
        with _neptune_errors(self._root):
            for key, value in values.items():
                self._run[f"{folder}/{key}"] = value


class NeptuneTracker:
    """Runs in Neptune's offline format, and a registry in a file beside them."""

    def __init__(self, folder: Path, projects: Mapping[str, str]) -> None:
        """Say where; nothing is opened yet.

        Args:
            projects: experiment → the Neptune project it would go to, noted with each run.
        """
        self.folder = folder.expanduser().absolute()
        self._projects = projects

    def prepare(self) -> None:
        _import_neptune(self.folder)

    @contextmanager
    def start(self, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[NeptuneRun]:
        run_id = uuid.uuid4().hex
        run = NeptuneRun(self._init_run(name), run_id, self.folder)
        project = self._projects.get(experiment, "")
        run._assign("doggo", {"run_id": run_id, "experiment": experiment, "project": project})
        run.set_tags(tags)
        status = "FINISHED"
        try:
            yield run
        except BaseException as error:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            raise
        finally:
            run.end(status)

    def finished(self, experiment: str, tag: str, value: str) -> KeptRun | None:
        with _neptune_errors(self.folder):
            found = find_run(self.folder, experiment, tag, value)
        return None if found is None else KeptRun(run_id=found.run_id, metrics=found.metrics)

    def move_under(self, run_id: str, parent_id: str) -> None:
        with self._registry() as registry:
            registry.setdefault("moved", {})[run_id] = {PARENT_TAG: parent_id}

    def parent_of(self, run_id: str) -> str | None:
        """Return the run that another was moved under, or None."""
        with _neptune_errors(self.folder):
            found = self._read().get("moved", {}).get(run_id)
        return None if found is None else str(found[PARENT_TAG])

    def mirror_version(self, version: TrackedVersion) -> None:
        with self._registry() as registry:
            models = registry.setdefault("models", {})
            versions = models.setdefault(version.model, {"versions": {}, "aliases": {}})["versions"]
            known = versions.setdefault(str(version.version), {"tags": {}})
            known.update(uri=version.uri, run_id=version.run_id, archived=version.archived)
            known["tags"].update(version.tags)

    def move_alias(self, model: str, alias: str, version: int | None) -> None:
        with self._registry() as registry:
            known = registry.get("models", {}).get(model, {"versions": {}, "aliases": {}})
            if version is None:
                known["aliases"].pop(alias, None)
            elif str(version) in known["versions"]:
                known["aliases"][alias] = version
            else:
                raise StorageError(f"{self.folder} has no version {version} of {model}")
            known.setdefault("left", {})[alias] = [] if version is None else [version]

    def registered(self, model: str) -> RegisteredModel:
        with _neptune_errors(self.folder):
            known = self._read().get("models", {}).get(model, {})
        versions = {int(number): kept for number, kept in known.get("versions", {}).items()}
        return RegisteredModel(
            versions={
                number: TrackedVersion(model=model, version=number, **kept)
                for number, kept in versions.items()
            },
            aliases=dict(known.get("aliases", {})),
            left={alias: set(places) for alias, places in known.get("left", {}).items()},
        )

    def _init_run(self, name: str) -> Any:
        neptune = _import_neptune(self.folder)
        with _neptune_errors(self.folder):
            offline_folder(self.folder).mkdir(parents=True, exist_ok=True)
            # The only way to tell the client where to write.
            os.environ["NEPTUNE_DATA_DIRECTORY"] = str(offline_folder(self.folder).parent)
            return neptune.init_run(
                mode="offline",
                name=name,
                source_files=[],
                git_ref=False,
                capture_stdout=False,
                capture_stderr=False,
                capture_hardware_metrics=False,
                capture_traceback=False,
            )

    @contextmanager
    def _registry(self) -> Iterator[dict[str, Any]]:
        """Give the file's contents to change; they are written whole or not at all."""
        with _neptune_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".registry.lock", timeout=60):
                registry = self._read()
                yield registry
                temporary = self.folder / ".tmp-registry.json"
                temporary.write_bytes(to_bytes(registry))
                temporary.replace(self.folder / "registry.json")

    def _read(self) -> dict[str, Any]:
        file = self.folder / "registry.json"
        return dict(read_json(file)) if file.exists() else {}


def _import_neptune(folder: Path) -> Any:
    # The client's own libraries use what jsonschema is about to drop. Not undone at the end:
    # `catch_warnings` is not safe beside other threads.
    warnings.filterwarnings("ignore", r"jsonschema\.RefResolver is deprecated", DeprecationWarning)
    with _neptune_errors(folder):
        import neptune

    for name in ("neptune", "neptune_no_prefix"):  # they print to stdout, which is for results
        logging.getLogger(name).setLevel(logging.ERROR)
    return neptune


@contextmanager
def _neptune_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except ImportError as error:
        raise StorageError(
            "Neptune's client is not installed: install doggo with its `neptune` extra, or unset "
            "DOGGO_TRACKER to use MLflow"
        ) from error
    except Exception as error:
        if not isinstance(error, OSError) and not type(error).__module__.startswith("neptune"):
            raise
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StorageError(f"the tracker in {folder} failed: {said[:200]}") from error
