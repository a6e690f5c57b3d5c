"""An export of Neptune into MLflow: runs with all they hold, and the model registry.

Owns what becomes of what, and that nothing is ever doubled: every run carries the tag
`neptune.key`, and `neptune.import = complete`, which is written last. A run without it was
interrupted and is written again over itself: MLflow keeps one of equal figures.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock, Timeout

from doggo.core.errors import DoggoError, InputError, StorageError
from doggo.core.progress import Progress, silent
from doggo.tracking.neptune_archive import NeptuneArchive
from doggo.tracking.neptune_export import (
    FILE_TYPES,
    Exported,
    Kind,
    Row,
    count_rows,
    find_exported,
    inside,
    read_rows,
)
from doggo.tracking.neptune_names import artifact_folder, mlflow_key, param_text

log = logging.getLogger(__name__)

_PARAM_LENGTH = 6000  # MLflow's limit
_SYSTEM = "sys/"


@dataclass(kw_only=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        imported, already_present: by kind: run, model, model_version.
        written: `params`, `metrics`, `files` and `series`; `rounded_steps` had decimals.
        failed: what could not be imported, and why.
        missing_files: named by a run and not in the export; the run is tried again next time.
        refused_files: whose path leads out of the export.
    """

    imported: Counter[str] = field(default_factory=Counter)
    already_present: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    missing_files: list[str] = field(default_factory=list)
    refused_files: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {
            "imported": {kind.value: self.imported[kind] for kind in Kind},
            "already_present": {kind.value: self.already_present[kind] for kind in Kind},
            "written": dict(self.written),
            "failed": len(self.failed),
            "missing_files": len(self.missing_files),
            "refused_files": len(self.refused_files),
            "details": {
                "failed": self.failed,
                "missing_files": self.missing_files,
                "refused_files": self.refused_files,
            },
        }


def import_export(
    folder: Path,
    archive: NeptuneArchive,
    *,
    home: Path,
    step_multiplier: int = 1,
    progress: Progress = silent,
) -> ImportReport:
    """Write an export of neptune-exporter into MLflow; what is there already is left alone.

    What cannot be read is reported and stops nothing else. Killed at any moment, the same
    import goes on.

    Args:
        home: for a lock: two imports at once would double what both find missing.
        step_multiplier: MLflow's steps are whole: steps with decimals are multiplied and rounded.

    Raises:
        InputError: the folder is no export.
        StorageError: MLflow failed, or another import is running.
    """
    found = find_exported(folder)
    home.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(home / ".neptune-import.lock", timeout=0):
            return _Import(archive, step_multiplier, progress).all(found)
    except Timeout as error:
        raise StorageError("another import is running; wait until it is done") from error


class _Import:
    def __init__(self, archive: NeptuneArchive, step_multiplier: int, progress: Progress) -> None:
        self._archive = archive
        self._multiplier = step_multiplier
        self._progress = progress
        self._report = ImportReport()
        self._rows = 0

    def all(self, found: Sequence[Exported]) -> ImportReport:
        whole: list[Exported] = []
        for item in found:
            try:
                self._rows += count_rows(item)
                whole.append(item)
            except DoggoError as error:
                self._fail(item, error)
        self._archive.load()
        done_rows = 0
        for number, item in enumerate(whole):
            self._progress("import", number, len(whole))
            try:
                done_rows = self._one(item, done_rows)
            except StorageError:
                raise  # MLflow's, not the export's: nothing after it would go better
            except DoggoError as error:
                self._fail(item, error)
        self._archive.point_aliases()
        self._progress("import", len(whole), len(whole))
        return self._report

    def _fail(self, item: Exported, error: DoggoError) -> None:
        log.info("neptune.import_failed kind=%s name=%s", item.kind, item.name, exc_info=True)
        self._report.failed.append(str(error))

    def _one(self, item: Exported, done_rows: int) -> int:
        """Import one run, model or version; return how many rows are done by then."""
        first = next((row for batch in read_rows(item) for row in batch), None)
        if first is None:
            return done_rows  # it has no attribute at all
        known = self._archive.known(item.kind, first.project_id, first.run_id)
        if known is not None and known.complete:
            self._report.already_present[item.kind] += 1
            return done_rows + count_rows(item)
        head = _head(item, first)
        run_id = self._archive.begin(item.kind, head.project_id, head.run_id, head.system)
        missing = len(self._report.missing_files)
        with TemporaryDirectory() as work:
            writer = _Writer(
                self._archive, run_id, item.files, Path(work), self._multiplier, self._report,
                head.start_ms,
            )  # fmt: skip
            for batch in read_rows(item):
                writer.write(batch, head)
                done_rows += len(batch)
                self._progress("rows", done_rows, self._rows)
            writer.end()
        if item.kind == Kind.VERSION:
            self._archive.register(run_id, head.project_id, head.run_id, head.system)
        self._archive.end(run_id, head.system, complete=missing == len(self._report.missing_files))
        self._report.imported[item.kind] += 1
        return done_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class _Head:
    """What is known of a run before its data are read: its names, and Neptune's own fields."""

    project_id: str
    run_id: str
    system: Mapping[str, Any]
    start_ms: int


def _head(item: Exported, first: Row) -> _Head:
    system = {
        row.path.removeprefix(_SYSTEM): row.value
        for batch in read_rows(item, below=_SYSTEM)
        for row in batch
        if row.type not in FILE_TYPES and not row.type.endswith("_series")
    }
    created = system.get("creation_time")
    return _Head(
        project_id=first.project_id,
        run_id=first.run_id,
        system=system,
        start_ms=int(created.timestamp() * 1000) if isinstance(created, datetime) else 0,
    )


class _Writer:
    """Writes the rows of one run into MLflow, series by way of files under `work`."""

    def __init__(
        self, archive: NeptuneArchive, run_id: str, files: Path, work: Path,
        multiplier: int, report: ImportReport, start_ms: int,
    ) -> None:  # fmt: skip
        self._archive = archive
        self._run_id = run_id
        self._files = files
        self._work = work
        self._multiplier = multiplier
        self._report = report
        self._start_ms = start_ms
        self._seen: Counter[str] = Counter()

    def write(self, rows: Sequence[Row], head: _Head) -> None:
        params: dict[str, str] = {}
        metrics: list[tuple[str, float, int, int]] = []
        for row in rows:
            if (row.project_id, row.run_id) != (head.project_id, head.run_id):
                raise _two_runs(head, row)
            if row.type in FILE_TYPES:
                self._copy(row)
            elif row.type == "float_series":
                metrics.append(self._metric(row))
            elif row.type.endswith("_series"):
                self._append(row)
            elif not row.path.startswith(_SYSTEM):
                params[mlflow_key(row.path)] = self._param(row)
        self._archive.params(self._run_id, params)
        self._archive.metrics(self._run_id, metrics)
        self._report.written.update(params=len(params), metrics=len(metrics))

    def end(self) -> None:
        """Hand over the series that were collected."""
        for file in sorted(path for path in self._work.rglob("*") if path.is_file()):
            folder = file.relative_to(self._work).parent.as_posix()
            self._archive.file(self._run_id, file, folder)
            self._report.written["series"] += 1

    def _metric(self, row: Row) -> tuple[str, float, int, int]:
        step = self._seen[row.path] if row.step is None else row.step * self._multiplier
        self._seen[row.path] += 1
        self._report.written["rounded_steps"] += step != round(step)
        moment = self._start_ms if row.time_ms is None else row.time_ms
        return mlflow_key(row.path), float(row.value), round(step), moment

    def _param(self, row: Row) -> str:
        text = param_text(row.value)
        if len(text) > _PARAM_LENGTH:
            file = self._work / "params" / f"{mlflow_key(row.path)}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return text[:_PARAM_LENGTH]

    def _append(self, row: Row) -> None:
        ending = "jsonl" if row.type == "histogram_series" else "txt"
        file = self._work / "series" / f"{mlflow_key(row.path)}.{ending}"
        file.parent.mkdir(parents=True, exist_ok=True)
        if ending == "jsonl":
            line = json.dumps({"step": row.step, "time_ms": row.time_ms, **row.value})
        else:
            line = str(row.value).rstrip("\n")
        with file.open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")

    def _copy(self, row: Row) -> None:
        named = f"{row.run_id}: {row.path}: {row.value}"
        source = inside(self._files, str(row.value))
        if source is None:
            self._report.refused_files.append(named)
        elif not source.exists():
            self._report.missing_files.append(named)
        elif source.is_dir():
            for file in sorted(path for path in source.rglob("*") if not path.is_dir()):
                self._copy_one(file, f"{row.path}/{file.relative_to(source)}", named)
        else:
            # The attribute `a/curve` is the file `a/curve` or `a/curve.png`; others lie under it.
            own = source.name == row.path.split("/")[-1] or source.stem == row.path.split("/")[-1]
            self._copy_one(source, row.path if own else f"{row.path}/{source.name}", named)

    def _copy_one(self, file: Path, path: str, named: str) -> None:
        if inside(self._files, str(file)) is None or not file.is_file():
            self._report.refused_files.append(f"{named}: {file.name}")
            return
        self._archive.file(self._run_id, file, artifact_folder(path))
        self._report.written["files"] += 1


def _two_runs(head: _Head, row: Row) -> DoggoError:
    return InputError(
        f"the export of {head.run_id} also holds rows of {row.run_id}: export both again"
    )
