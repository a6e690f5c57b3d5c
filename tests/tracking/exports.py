"""Exports as neptune-exporter writes them, made after its README and its model.py."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

PROJECT = "kennel/experiments"
BEGAN = datetime(2023, 5, 6, 7, 8, 9, tzinfo=UTC)

SCHEMA = pa.schema(
    [
        ("project_id", pa.string()),
        ("run_id", pa.string()),
        ("attribute_path", pa.string()),
        ("attribute_type", pa.string()),
        ("step", pa.decimal128(18, 6)),
        ("timestamp", pa.timestamp("ms", tz="UTC")),
        ("int_value", pa.int64()),
        ("float_value", pa.float64()),
        ("string_value", pa.string()),
        ("bool_value", pa.bool_()),
        ("datetime_value", pa.timestamp("ms", tz="UTC")),
        ("string_set_value", pa.list_(pa.string())),
        ("file_value", pa.struct([("path", pa.string())])),
        (
            "histogram_value",
            pa.struct(
                [
                    ("type", pa.string()),
                    ("edges", pa.list_(pa.float64())),
                    ("values", pa.list_(pa.float64())),
                ]
            ),
        ),
    ]
)

_COLUMN = {
    "float_series": "float_value", "string_series": "string_value",
    "histogram_series": "histogram_value", "artifact": "file_value",
    "file_series": "file_value", "file_set": "file_value",
}  # fmt: skip


def safe(name: str) -> str:
    """A name as the exporter makes it safe for a file system, digest and all."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
    return re.sub(r"[^\w-]", "_", name) + "-" + digest


def value(path: str, kind: str, what: Any) -> dict[str, Any]:
    """One attribute; a file's value is its path in the export."""
    column = _COLUMN.get(kind, f"{kind}_value")
    held = {"path": what} if column == "file_value" else what
    return {"attribute_path": path, "attribute_type": kind, column: held}


def series(path: str, values: Sequence[float], *, step: float = 1) -> list[dict[str, Any]]:
    """A float series with a step and a time for each value."""
    return [
        {
            **value(path, "float_series", number),
            "step": Decimal(str(place * step)),
            "timestamp": BEGAN + timedelta(seconds=place),
        }
        for place, number in enumerate(values)
    ]


def system(run_id: str, **more: Any) -> list[dict[str, Any]]:
    """The fields that Neptune keeps of every run and model."""
    texts = {"id": run_id, "name": "Untitled", "owner": "rex", **more}
    return [
        *(value(f"sys/{name}", "string", text) for name, text in texts.items()),
        value("sys/creation_time", "datetime", BEGAN),
        value("sys/modification_time", "datetime", BEGAN + timedelta(hours=2)),
        value("sys/failed", "bool", False),
        value("sys/tags", "string_set", ["resnet", "first"]),
    ]


def write(
    root: Path,
    run_id: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    scope: str = "",
    part: int = 0,
    project: str = PROJECT,
    without: str = "",
) -> Path:
    """Write one part of a run (or, with a scope, of a model or a version); return its file."""
    data = root / ("model_data" if scope else "data") / safe(project) / scope
    data.mkdir(parents=True, exist_ok=True)
    whole = [{"project_id": project, "run_id": run_id, **row} for row in rows]
    table = pa.Table.from_pylist(whole, SCHEMA)
    if without:
        table = table.drop_columns([without])
    file = data / f"{safe(run_id)}_part_{part}.parquet"
    parquet.write_table(table, file, compression="snappy")
    return file


def write_file(root: Path, relative: str, data: bytes, *, models: bool = False) -> str:
    """Write a file of the export; return the path that its row holds."""
    file = root / ("model_files" if models else "files") / safe(PROJECT) / relative
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return relative


def write_run(root: Path, run_id: str = "EXP-1", *, points: int = 5) -> None:
    """A run with one attribute of every type that the exporter writes."""
    base = f"{PROJECT}/{run_id}"
    write(root, run_id, [
        *system(run_id),
        value("parameters/lr", "float", 0.001),
        value("parameters/epochs", "int", 64),
        value("parameters/model", "string", "resnet"),
        value("parameters/pretrained", "bool", True),
        value("parameters/labels", "string_set", ["pug", "beagle"]),
        *series("metrics/val_auc", [place / points for place in range(points)]),
        value("monitoring/stdout", "string_series", "epoch 1"),
        value("monitoring/stdout", "string_series", "epoch 2"),
        value("weights", "histogram_series",
              {"type": "COUNTING", "edges": [0.0, 1.0], "values": [3.0]}),
        value("charts/curve", "file", write_file(root, f"{base}/charts/curve", b"a curve")),
        value("data", "artifact", write_file(root, f"{base}/data/files_list.json", b"[]")),
        value("photos", "file_series", write_file(root, f"{base}/photos/1.000000.png", b"p")),
        value("source", "file_set", f"{base}/source"),
    ])  # fmt: skip
    write_file(root, f"{base}/source/files.zip", b"a zip")


def write_registry(root: Path) -> None:
    """A model with four versions: one archived, two in production, one in staging."""
    write(root, "EXP-RES", system("EXP-RES", name="resnet"), scope="models")
    stages = ["archived", "production", "production", "staging"]
    for number, stage in enumerate(stages, 9):  # 9 comes before 10, unlike their words
        name = f"EXP-RES-{number}"
        path = write_file(root, f"model_versions/{name}/model", name.encode(), models=True)
        write(root, name, [
            *system(name, stage=stage, model_id="EXP-RES"),
            value("score/test_auc", "float", 0.9),
            value("model", "file", path),
        ], scope="model_versions")  # fmt: skip
