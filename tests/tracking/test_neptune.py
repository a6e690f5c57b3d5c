"""Neptune's client offline: files on disk, no network, no token, nothing said."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from doggo import wiring
from doggo.core.errors import StorageError, UsageError
from doggo.settings import Settings
from doggo.tracking.mlflow import ui_command
from doggo.tracking.neptune import NeptuneTracker
from doggo.tracking.neptune_offline import find_run, offline_folder, read_run
from doggo.tracking.port import Metric, TrackedVersion
from doggo.tracking.tolerant import TolerantTracker

TOKEN = "c2VjcmV0LXRva2Vu"  # noqa: S105 - nobody's


@pytest.fixture
def tracker(tmp_path: Path) -> NeptuneTracker:
    return NeptuneTracker(tmp_path / "kept", {"experiment": "kennel/dogs"})


def test_a_token_in_the_environment_is_neither_used_nor_written(
    tracker: NeptuneTracker,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it asked for the network")

    monkeypatch.setenv("NEPTUNE_API_TOKEN", TOKEN)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    (tmp_path / "curve.png").write_bytes(b"a picture")
    with tracker.start("experiment", "first", {}) as run:
        run.log_metrics([Metric("top1", 0.5)])
        run.log_file(tmp_path / "curve.png", "charts")
    (tmp_path / "curve.png").unlink()
    assert capfd.readouterr() == ("", "")
    files = [file for file in tracker.folder.rglob("*") if file.is_file()]
    assert not [file for file in files if TOKEN.encode() in file.read_bytes()]
    (folder,) = offline_folder(tracker.folder).iterdir()
    kept = read_run(folder)
    assert Path(kept.files["files/charts/curve.png"]).read_bytes() == b"a picture"
    assert kept.fields["doggo/project"] == "kennel/dogs"
    assert kept.fields["sys/failed"] is False


def test_a_figure_that_neptune_cannot_hold_is_kept_in_words(tracker: NeptuneTracker) -> None:
    with tracker.start("experiment", "odd", {}) as run:
        run.log_metrics([Metric("loss", float("nan"), 3), Metric("loss", 1.0, 4)])
    (folder,) = offline_folder(tracker.folder).iterdir()
    kept = read_run(folder)
    assert kept.metrics == (Metric("loss", 1.0, 4),)
    assert kept.fields["not_finite/loss"] == "nan at 3"


def test_a_run_that_was_killed_is_read_up_to_there_and_not_taken_for_finished(
    tracker: NeptuneTracker,
) -> None:
    with tracker.start("experiment", "torn", {"point": "a"}) as run:
        run.log_metrics([Metric("top1", step / 10, step) for step in range(5)])
    assert find_run(tracker.folder, "experiment", "point", "a") is not None
    (log,) = offline_folder(tracker.folder).glob("*/data-1.log")
    whole = log.read_bytes()
    log.write_bytes(whole[: whole.index(b'"doggo", "status"')])
    assert read_run(log.parent).metrics == run_metrics(whole)
    assert tracker.finished("experiment", "point", "a") is None


def run_metrics(log: bytes) -> tuple[Metric, ...]:
    """The series as the client wrote it, read without our reader."""
    changes = [json.loads(line)["obj"] for line in log.splitlines()]
    values = [item for change in changes if change["type"] == "LogFloats"
              for item in change["values"]]  # fmt: skip
    return tuple(Metric("top1", item["value"], int(item["step"])) for item in values)


def test_the_registry_is_a_file_that_another_process_reads(tracker: NeptuneTracker) -> None:
    tracker.mirror_version(
        TrackedVersion(model="m", version=3, uri="file:///b", run_id=None, tags={"state": "new"})
    )
    tracker.move_alias("m", "production", 3)
    other = NeptuneTracker(tracker.folder, {})
    assert other.registered("m").aliases == {"production": 3}
    kept = json.loads((tracker.folder / "registry.json").read_text())
    assert kept["models"]["m"]["versions"]["3"]["tags"] == {"state": "new"}
    assert sorted(file.name for file in tracker.folder.iterdir()) == [
        ".registry.lock", "registry.json",
    ]  # fmt: skip


def test_a_damaged_registry_is_one_line(tracker: NeptuneTracker) -> None:
    tracker.folder.mkdir()
    (tracker.folder / "registry.json").write_text("{torn")
    with pytest.raises(StorageError, match="damaged"):
        tracker.registered("m")


def test_a_folder_that_cannot_be_written_costs_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    tracker = TolerantTracker(NeptuneTracker(tmp_path / "taken", {}))
    with tracker.start("training", "x", {}) as run:
        run.log_params({"a": "b"})
    assert run.run_id is None
    assert tracker.failure is not None
    assert "\n" not in tracker.failure


def test_without_the_client_one_line_says_what_to_install(
    tracker: NeptuneTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "neptune", None)
    with pytest.raises(StorageError, match="install doggo with its `neptune` extra"):
        tracker.prepare()


@pytest.mark.parametrize(("value", "below"), [("neptune-offline:", "neptune"), ("", "")])
def test_the_setting_chooses_it(
    value: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    chosen = Settings(home=tmp_path, tracker=value or f"neptune-offline:{folder}")
    monkeypatch.setattr(wiring, "settings", lambda: chosen)
    with wiring.open_tracker().start("experiment", "x", {}) as run:
        pass
    assert run.run_id is not None
    assert list(offline_folder(tmp_path / below if below else folder).iterdir())
    with pytest.raises(UsageError, match="has no pages"):
        ui_command(chosen.tracker, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "DOGGO_NEPTUNE_EXPERIMENT_PROJECT", "NEPTUNE_EXPERIMENT_PROJECT", "NEPTUNE_EXP_PROJECT",
        "NEPTUNE_EXPERIMENT_PROJECT_KEY", "NEPTUNE_EXP_PROJECT_KEY",
    ],
)  # fmt: skip
def test_the_seeds_names_of_the_projects_are_read(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "kennel/dogs")
    assert Settings().neptune_experiment_project == "kennel/dogs"
