"""Reading what Neptune's client wrote offline: its service was the only other reader.

Owns the form of `data-N.log` of client 1.14: a line a change, as JSON. A last line that a killed
process left unfinished is not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doggo.tracking.port import Metric


def offline_folder(root: Path) -> Path:
    """Return where the client keeps runs: `neptune sync --path` looks for it in this place."""
    return root / ".neptune" / "offline"


@dataclass(kw_only=True, slots=True)
class OfflineRun:
    """One run.

    Attributes:
        fields: path → the word, number or switch that was set last.
        series: path → (step, value) in the order they came.
        files: path → where the file lies.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    series: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def run_id(self) -> str | None:
        found = self.fields.get("doggo/run_id")
        return None if found is None else str(found)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every figure, by name and then step."""
        return tuple(
            Metric(path.removeprefix("metrics/"), value, step)
            for path in sorted(self.series)
            for step, value in sorted(self.series[path], key=lambda point: point[0])
        )


def find_run(root: Path, experiment: str, tag: str, value: str) -> OfflineRun | None:
    """Return the newest run that ended well and has this tag, or None.

    Raises:
        OSError: a folder cannot be read.
    """
    newest_first = sorted(offline_folder(root).glob("run__*"), key=_age, reverse=True)
    for folder in newest_first:
        run = read_run(folder)
        wanted = {"doggo/experiment": experiment, "doggo/status": "FINISHED", f"tags/{tag}": value}
        if wanted.items() <= run.fields.items():
            return run
    return None


def read_run(folder: Path) -> OfflineRun:
    """Return what a run's folder holds; what other writers put there is left out.

    Raises:
        OSError: it cannot be read.
    """
    run = OfflineRun()
    for change in _changes(folder):
        path = "/".join(change.get("path", ()))
        kind = str(change.get("type", ""))
        if kind.startswith("Assign"):
            run.fields[path] = change.get("value")
        elif kind == "LogFloats":
            points = [(int(item["step"] or 0), float(item["value"])) for item in change["values"]]
            run.series.setdefault(path, []).extend(points)
        elif kind == "UploadFile":
            run.files[path] = str(change.get("file_path"))
    return run


def _changes(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob("data-*.log"), key=lambda log: int(log.stem[5:])):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                yield json.loads(line)["obj"]
            except (ValueError, KeyError, TypeError):
                break  # torn by a kill: it is the last


def _age(folder: Path) -> float:
    return folder.stat().st_mtime
