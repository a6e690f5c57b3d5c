"""What neptune-exporter left on disk: which runs there are, and the rows of each.

Owns the layout and the columns (github.com/neptune-ai/neptune-exporter, README and model.py):

    data/PROJECT/RUN_part_N.parquet                 a run; its files are under files/PROJECT
    model_data/PROJECT/models/ID_part_N.parquet     a model; files under model_files/PROJECT
    model_data/PROJECT/model_versions/ID_part_N.parquet

PROJECT and RUN are made safe for a file system and end in a digest; the true names are in the
columns. Part 0 is written last: without it the export of that run was not finished. Nothing in
an export is trusted: a path may lead out of it and a file may be torn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from doggo.core.errors import InputError

_PART = re.compile(r"(?P<name>.+)_part_(?P<number>\d+)\.parquet")
_BATCH_ROWS = 2000

_NAMES: Final = ("project_id", "run_id", "attribute_path", "attribute_type")
_VALUE_OF: Final[Mapping[str, str]] = {
    "int": "int_value",
    "float": "float_value",
    "string": "string_value",
    "bool": "bool_value",
    "datetime": "datetime_value",
    "string_set": "string_set_value",
    "float_series": "float_value",
    "string_series": "string_value",
    "histogram_series": "histogram_value",
    "file": "file_value",
    "artifact": "file_value",
    "file_series": "file_value",
    "file_set": "file_value",
}
FILE_TYPES: Final = frozenset(name for name, column in _VALUE_OF.items() if column == "file_value")


class Kind(StrEnum):
    """What was exported: a run, or an object of the model registry, which has the same form."""

    RUN = "run"
    MODEL = "model"
    VERSION = "model_version"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """One run, model or model version on disk.

    Attributes:
        name: of its files, up to `_part_`.
        parts: number → file.
        files: folder that paths of its files are relative to.
    """

    kind: Kind
    name: str
    parts: Mapping[int, Path]
    files: Path

    def whole(self) -> tuple[Path, ...]:
        """Return its parts in order.

        Raises:
            InputError: a part is missing.
        """
        for number in range(max(self.parts) + 1):
            if number not in self.parts:
                why = " (its export was not finished)" if number == 0 else ""
                raise InputError(f"{self.name}: part {number} is missing{why}; export it again")
        return tuple(self.parts[number] for number in sorted(self.parts))


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One value of one attribute.

    Attributes:
        path: name of the attribute, such as `metrics/val_auc`.
        type: Neptune's, such as `float_series`.
        step: of a series, else None; may have decimals.
        time_ms: since 1970, UTC, or None.
        value: of the Python type that fits; of files the relative path as a string.
    """

    project_id: str
    run_id: str
    path: str
    type: str
    step: float | None
    time_ms: int | None
    value: Any


def find_exported(folder: Path) -> list[Exported]:
    """Return all that an export holds: runs, then models, then their versions, oldest first.

    Raises:
        InputError: the folder is no export.
    """
    runs, models = folder / "data", folder / "model_data"
    if not runs.is_dir() and not models.is_dir():
        raise InputError(
            f"{folder} is no export: it has neither data/ nor model_data/; give the folder that "
            "neptune-exporter wrote (its default is ./exports)"
        )
    return [
        *_group(Kind.RUN, runs, "", folder / "files"),
        *_group(Kind.MODEL, models, "models", folder / "model_files"),
        *_group(Kind.VERSION, models, "model_versions", folder / "model_files"),
    ]


def count_rows(exported: Exported) -> int:
    """Return how many rows it has, from the files' footers.

    Raises:
        InputError: a part is missing, torn, or lacks a column.
    """
    from pyarrow.parquet import ParquetFile

    total = 0
    for part in exported.whole():
        with _parquet_errors(part), ParquetFile(part) as file:
            missing = [name for name in _NAMES if name not in file.schema_arrow.names]
            if missing:
                raise InputError(f"{part}: column {missing[0]} is missing; export this run again")
            total += file.metadata.num_rows
    return total


def read_rows(exported: Exported, *, below: str = "") -> Iterator[list[Row]]:
    """Yield its rows in order, some at a time; attributes of unknown type are left out.

    Args:
        below: only attributes whose path begins so; much faster than reading all.

    Raises:
        InputError: a part is missing or torn, lacks a column, or holds another run's rows.
    """
    from pyarrow import compute
    from pyarrow.parquet import ParquetFile

    for part in exported.whole():
        with _parquet_errors(part), ParquetFile(part) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                wanted = compute.starts_with(batch["attribute_path"], below)
                yield list(_rows(batch.filter(wanted) if below else batch, part))


def inside(root: Path, relative: str) -> Path | None:
    """Return the file or folder at a path of the export, or None if it lies outside `root`.

    Links count as what they lead to.
    """
    try:
        target = (root / relative).resolve()
    except (OSError, ValueError):  # a name that no file can have
        return None
    return target if target.is_relative_to(root.resolve()) else None


def _group(kind: Kind, root: Path, scope: str, files: Path) -> list[Exported]:
    parts: dict[tuple[str, str], dict[int, Path]] = {}
    for file in sorted(root.glob(f"*/{scope}/*.parquet" if scope else "*/*.parquet")):
        named = _PART.fullmatch(file.name)
        if named:
            project = file.relative_to(root).parts[0]
            numbered = parts.setdefault((project, named["name"]), {})
            numbered[int(named["number"])] = file
    found = [
        Exported(kind=kind, name=name, parts=numbered, files=files / project)
        for (project, name), numbered in parts.items()
    ]
    return sorted(found, key=lambda item: (item.files, _natural(item.name)))


def _natural(name: str) -> list[tuple[int, str]]:
    """Order ...-2 before ...-10."""
    return [(int(word), "") if word.isdigit() else (0, word) for word in re.split(r"(\d+)", name)]


def _rows(batch: Any, part: Path) -> Iterator[Row]:
    columns = {name: batch.column(name) for name in batch.schema.names}
    names = [columns[name].to_pylist() for name in _NAMES]
    steps, times = (_optional(columns, name, len(batch)) for name in ("step", "timestamp"))
    values: dict[str, list[Any]] = {}
    for place, (project, run, path, kind) in enumerate(zip(*names, strict=True)):
        column = _VALUE_OF.get(kind)
        if column is None or not path or project is None or run is None:
            continue
        if column not in values:
            if column not in columns:
                raise InputError(f"{part}: column {column} is missing; export this run again")
            values[column] = columns[column].to_pylist()
        value = values[column][place]
        if column == "file_value" and value is not None:
            value = value.get("path")
        if value is None:
            continue
        step, moment = steps[place], times[place]
        yield Row(
            project_id=project,
            run_id=run,
            path=path,
            type=kind,
            step=None if step is None else float(step),
            time_ms=None if moment is None else int(moment.timestamp() * 1000),
            value=value,
        )


def _optional(columns: Mapping[str, Any], name: str, rows: int) -> list[Any]:
    return list(columns[name].to_pylist()) if name in columns else [None] * rows


@contextmanager
def _parquet_errors(part: Path) -> Iterator[None]:
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{part} cannot be read, export this run again: {said[:160]}") from error
