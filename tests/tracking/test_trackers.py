"""One suite for every tracker: MLflow on SQLite and as a server, Neptune offline, memory."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from doggo.core.errors import StorageError, UsageError
from doggo.tracking.mlflow import (
    MlflowTracker,
    open_tracker,
    store_urls,
    ui_command,
    ui_environment,
)
from doggo.tracking.neptune import NeptuneTracker
from doggo.tracking.neptune_offline import offline_folder, read_run
from doggo.tracking.null import NullTracker
from doggo.tracking.port import (
    PARENT_TAG,
    HistoryTracker,
    KeptRun,
    Metric,
    RegisteredModel,
    TrackedVersion,
)

MODEL = "efficientnet_lite0"


@pytest.fixture(scope="session")
def sqlite_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server, started as `doggo ui` starts it."""
    home = tmp_path_factory.mktemp("served")
    MlflowTracker(*store_urls(home)).prepare()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (home / "server.log").open("wb")
    process = subprocess.Popen(
        ui_command("", home, port=port), env=ui_environment(), stdout=log, stderr=log,
        start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process, home / "server.log")
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)
        log.close()


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own server
        return bytes(answer.read())


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            _get(f"{url}/health")
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.fixture(params=["memory", "sqlite", "server", "neptune"])
def tracker(request: pytest.FixtureRequest) -> HistoryTracker:
    if request.param == "memory":
        return NullTracker()
    if request.param == "neptune":
        return NeptuneTracker(request.getfixturevalue("tmp_path") / "neptune", {})
    if request.param == "server":
        return MlflowTracker(request.getfixturevalue("server"))
    return MlflowTracker(*store_urls(request.getfixturevalue("sqlite_home")))


def _read(tracker: HistoryTracker, run_id: str | None) -> dict[str, Any]:
    """What the tracker kept of its last run, whatever kind it is."""
    if isinstance(tracker, NullTracker):
        run = tracker.runs[-1]
        return {
            "status": run.status, "params": run.params, "tags": run.tags, "files": run.files,
            "metrics": [(m.name, m.value, m.step) for m in run.metrics],
            "experiment": run.experiment,
        }  # fmt: skip
    if isinstance(tracker, NeptuneTracker):
        (found,) = (
            run
            for run in map(read_run, offline_folder(tracker.folder).iterdir())
            if run.run_id == run_id
        )
        assert all(Path(file).is_file() for file in found.files.values())
        return {
            "status": found.fields["doggo/status"], "params": _under(found.fields, "parameters/"),
            "tags": _under(found.fields, "tags/"), "files": list(_under(found.files, "files/")),
            "metrics": [(m.name, m.value, m.step) for m in found.metrics],
            "experiment": found.fields["doggo/experiment"],
        }  # fmt: skip
    assert isinstance(tracker, MlflowTracker)
    client = tracker._open()
    kept = client.get_run(run_id)
    metrics = [
        (m.key, m.value, m.step)
        for name in kept.data.metrics
        for m in client.get_metric_history(run_id, name)
    ]
    return {
        "status": kept.info.status, "params": kept.data.params, "tags": kept.data.tags,
        "files": [f.path for f in client.list_artifacts(run_id, "charts")],
        "metrics": metrics, "experiment": client.get_experiment(kept.info.experiment_id).name,
    }  # fmt: skip


def _under(fields: dict[str, Any], folder: str) -> dict[str, Any]:
    return {k.removeprefix(folder): v for k, v in fields.items() if k.startswith(folder)}


def _version(number: int, model: str, **tags: str) -> TrackedVersion:
    return TrackedVersion(
        model=model, version=number, uri=f"file:///bundles/{number}", run_id=None, tags=tags
    )


def test_a_run_keeps_what_it_is_told(tracker: HistoryTracker, tmp_path: Path) -> None:
    chart = tmp_path / "curve.png"
    chart.write_bytes(b"a picture")
    curve = [Metric("val_top1", step / 10, step) for step in range(5)]
    with tracker.start("training", "first", {"manifest_id": "m"}) as run:
        run.log_params({"lr": "0.0001", "long": "x" * 500})
        run.log_metrics([*curve, Metric("seconds", 1.5)])
        run.log_file(chart, "charts")
        run.set_tags({"version": "3"})
        run.set_tags({"version": "4"})
    kept = _read(tracker, run.run_id)
    assert (kept["status"], kept["experiment"]) == ("FINISHED", "training")
    assert kept["params"] == {"lr": "0.0001", "long": "x" * 500}
    assert sorted(kept["metrics"]) == sorted(
        [*((m.name, m.value, m.step) for m in curve), ("seconds", 1.5, 0)]
    )
    assert kept["files"] == ["charts/curve.png"]
    assert (kept["tags"]["manifest_id"], kept["tags"]["version"]) == ("m", "4")


def test_more_metrics_than_one_request_takes_all_arrive(tracker: HistoryTracker) -> None:
    with tracker.start("experiment", "long", {}) as run:
        run.log_metrics([Metric("loss", 0.0, step) for step in range(1203)])
    assert len(_read(tracker, run.run_id)["metrics"]) == 1203


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("x"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_run_that_ends_badly_says_so(
    error: BaseException, status: str, tracker: HistoryTracker
) -> None:
    ids: list[str | None] = []

    def work() -> None:
        with tracker.start("training", "bad", {}) as run:
            ids.append(run.run_id)
            raise error

    with pytest.raises(type(error)):
        work()
    assert _read(tracker, ids[0])["status"] == status


def test_a_run_that_ended_well_is_found_again_by_its_tag(tracker: HistoryTracker) -> None:
    ids: list[str | None] = []

    def run(value: float, point: str, error: BaseException | None = None) -> None:
        with tracker.start("experiment", "x", {"doggo.point": point}) as opened:
            ids.append(opened.run_id)
            opened.log_metrics([Metric("top1", value, 1), Metric("top1", 0.0, 0)])
            if error:
                raise error

    assert tracker.finished("experiment", "doggo.point", "found") is None
    for value, point in ((0.1, "found"), (0.2, "found"), (0.3, "other")):
        run(value, point)
    for error in (ValueError(), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            run(0.4, "found", error)
    metrics = (Metric("top1", 0.0, 0), Metric("top1", 0.2, 1))
    assert tracker.finished("experiment", "doggo.point", "found") == KeptRun(
        run_id=ids[1], metrics=metrics
    )
    assert tracker.finished("training", "doggo.point", "found") is None


def test_a_run_belongs_to_its_parent_and_can_be_moved(tracker: HistoryTracker) -> None:
    with tracker.start("experiment", "parent", {}) as parent:
        tags = {PARENT_TAG: parent.run_id} if parent.run_id else {}
        with tracker.start("experiment", "child", tags) as child:
            pass
    with tracker.start("experiment", "other parent", {}) as other:
        pass
    if isinstance(tracker, MlflowTracker):
        nested = _read(tracker, child.run_id)["tags"]["mlflow.parentRunId"]
        assert nested == parent.run_id
        tracker.move_under(str(child.run_id), str(other.run_id))
        nested = _read(tracker, child.run_id)["tags"]["mlflow.parentRunId"]
        assert nested == other.run_id
    if isinstance(tracker, NeptuneTracker):
        assert _read(tracker, child.run_id)["tags"][PARENT_TAG] == parent.run_id
        tracker.move_under(str(child.run_id), str(other.run_id))
        assert tracker.parent_of(str(child.run_id)) == other.run_id


def test_aliases_follow_the_bundle_stores_versions(tracker: HistoryTracker) -> None:
    model = f"{MODEL}-aliases"
    assert tracker.registered(model) == RegisteredModel()
    for number in (4, 7, 9):  # the tracker's own numbers would be 1, 2, 3
        tracker.mirror_version(_version(number, model, top1="0.9"))
    tracker.move_alias(model, "production", 7)
    tracker.move_alias(model, "staging", 9)
    shown = tracker.registered(model)
    assert shown.aliases == {"production": 7, "staging": 9}
    assert shown.left == {"production": {7}, "staging": {9}}
    tracker.move_alias(model, "production", 9)
    tracker.move_alias(model, "staging", None)
    tracker.move_alias(model, "staging", None)
    shown = tracker.registered(model)
    assert shown.aliases == {"production": 9}
    assert shown.left == {"production": {9}, "staging": set()}


def test_mirroring_a_version_again_only_changes_its_tags(tracker: HistoryTracker) -> None:
    model = f"{MODEL}-again"
    tracker.mirror_version(_version(3, model, top1="0.8"))
    tracker.mirror_version(_version(3, model, top1="0.9"))
    tracker.move_alias(model, "production", 3)
    shown = tracker.registered(model)
    assert (list(shown.versions), shown.aliases) == ([3], {"production": 3})
    version = shown.versions[3]
    assert (version.tags["top1"], version.uri) == ("0.9", "file:///bundles/3")


def test_a_version_is_archived_and_comes_back(tracker: HistoryTracker) -> None:
    model = f"{MODEL}-archived"
    states: list[tuple[bool, str | None]] = []
    for archived in (False, True, True, False):
        tracker.mirror_version(replace(_version(3, model), archived=archived))
        shown = tracker.registered(model).versions[3]
        states.append((shown.archived, shown.tags.get("state")))
    assert [archived for archived, _ in states] == [False, True, True, False]
    if isinstance(tracker, MlflowTracker):
        assert [tag for _, tag in states] == [None, "archived", "archived", None]


def test_an_alias_move_cut_short_names_both_of_its_ends(sqlite_home: Path) -> None:
    tracker, model = MlflowTracker(*store_urls(sqlite_home)), "cut-short"
    for number in (1, 2):
        tracker.mirror_version(_version(number, model))
    tracker.move_alias(model, "production", 1)
    client = tracker._open()

    class CutShort:
        """The client of a process that is killed at the move itself."""

        def __getattr__(self, name: str) -> Any:
            if name == "set_registered_model_alias":
                raise StorageError("killed")
            return getattr(client, name)

    tracker._client = CutShort()
    with pytest.raises(StorageError, match="killed"):
        tracker.move_alias(model, "production", 2)
    shown = tracker.registered(model)
    assert (shown.aliases, shown.left) == ({"production": 1}, {"production": {1, 2}})


def test_an_alias_of_a_version_that_is_not_mirrored_is_refused(tracker: HistoryTracker) -> None:
    tracker.mirror_version(_version(1, f"{MODEL}-missing"))
    with pytest.raises(StorageError, match="no version 2"):
        tracker.move_alias(f"{MODEL}-missing", "production", 2)


def test_a_person_moving_an_alias_in_the_pages_is_seen(sqlite_home: Path) -> None:
    tracker = MlflowTracker(*store_urls(sqlite_home))
    for number in (1, 2):
        tracker.mirror_version(_version(number, "by-hand"))
    tracker.move_alias("by-hand", "production", 1)
    client = tracker._open()
    client.create_model_version("by-hand", "file:///not-ours")
    client.set_registered_model_alias("by-hand", "production", "2")
    client.set_registered_model_alias("by-hand", "odd", "3")
    shown = tracker.registered("by-hand")
    assert (shown.aliases, shown.left) == ({"production": 2}, {"production": {1}})


def test_a_run_and_its_files_are_in_the_pages(server: str, tmp_path: Path) -> None:
    (tmp_path / "curve.png").write_bytes(b"a picture")
    tracker = MlflowTracker(server)
    with tracker.start("training", "shown", {}) as run:
        run.log_file(tmp_path / "curve.png", "charts")
    assert b'"shown"' in _get(f"{server}/ajax-api/2.0/mlflow/runs/get?run_id={run.run_id}")
    shown = _get(f"{server}/get-artifact?path=charts/curve.png&run_uuid={run.run_id}")
    assert shown == b"a picture"


def test_the_embedded_tracker_stays_under_home(sqlite_home: Path, tmp_path: Path) -> None:
    chart = tmp_path / "c.png"
    chart.write_bytes(b"c")
    tracker = open_tracker("", sqlite_home)
    with tracker.start("training", "kept", {}) as run:
        run.log_file(chart, "charts")
    assert (sqlite_home / "tracker" / "mlflow.db").is_file()
    kept = (sqlite_home / "tracker" / "artifacts").rglob("c.png")
    assert [file.read_bytes() for file in kept] == [b"c"]
    assert not Path("mlruns").exists()


def test_it_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    tracker = open_tracker("", tmp_path)
    tracker.prepare()
    with tracker.start("training", "quiet", {}) as run:
        run.log_metrics([Metric("m", 1.0)])
    tracker.mirror_version(_version(1, "quiet"))
    assert tracker.failure is None
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]


def test_the_command_for_the_pages_binds_to_loopback(tmp_path: Path) -> None:
    command = ui_command("", tmp_path, port=5001)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert ui_environment()["MLFLOW_DISABLE_TELEMETRY"] == "true"
    with pytest.raises(UsageError, match=r"open https://tracker\.example in a browser"):
        ui_command("https://tracker.example", tmp_path)


def test_a_password_in_the_url_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        ui_command("https://owner:secret@tracker.example", tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgres://x", "tracker.example", "file:///x"])
def test_another_kind_of_tracker_is_a_usage_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot use tracker"):
        open_tracker(url, tmp_path)


def test_none_keeps_nothing(tmp_path: Path) -> None:
    tracker = open_tracker("none", tmp_path)
    with tracker.start("training", "x", {}) as run:
        run.log_params({"a": "b"})
    assert run.run_id is None
    assert not list(tmp_path.iterdir())
