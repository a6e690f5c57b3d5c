"""A tracker that fails costs its record and nothing else."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from doggo.core.errors import StorageError
from doggo.tracking.mlflow import open_tracker
from doggo.tracking.null import NullRun, NullTracker
from doggo.tracking.port import Metric, RegisteredModel, TrackedVersion
from doggo.tracking.tolerant import TolerantTracker


class _FailingRun(NullRun):
    def log_metrics(self, metrics: Sequence[Metric]) -> None:
        raise StorageError("the tracker went away")


class _Failing(NullTracker):
    """Works until metrics are logged; also fails to end its runs."""

    @contextmanager
    def start(self, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[NullRun]:
        run = _FailingRun(experiment, name, dict(tags))
        self.runs.append(run)
        try:
            yield run
        finally:
            raise StorageError("cannot end the run")


def test_the_work_goes_on_and_one_line_says_why(caplog: pytest.LogCaptureFixture) -> None:
    behind = _Failing()
    tracker = TolerantTracker(behind)
    with caplog.at_level(logging.WARNING), tracker.start("training", "x", {}) as run:
        run.log_params({"before": "kept"})
        run.log_metrics([Metric("m", 1.0)])
        run.log_params({"after": "not tried"})
        done = "the work"
    assert done == "the work"
    assert tracker.failure == "the tracker went away"
    assert behind.runs[0].params == {"before": "kept"}
    assert len(caplog.records) == 1
    assert "went away" in caplog.text


def test_an_error_of_the_work_is_not_hidden_by_one_of_the_tracker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracker = TolerantTracker(_Failing())
    with pytest.raises(ZeroDivisionError), tracker.start("training", "x", {}):
        raise ZeroDivisionError
    assert tracker.failure == "cannot end the run"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_ctrl_c_is_not_hidden_by_an_error_of_the_tracker() -> None:
    tracker = TolerantTracker(_Failing())
    with pytest.raises(KeyboardInterrupt), tracker.start("training", "x", {}):
        raise KeyboardInterrupt


def test_a_server_that_is_gone_costs_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound but not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        tracker = open_tracker(url, tmp_path)
        with tracker.start("training", "x", {}) as run:
            run.log_params({"a": "b"})
            run.log_metrics([Metric("m", 1.0)])
        tracker.mirror_version(
            TrackedVersion(model="m", version=1, uri="file:///b", run_id=None, tags={})
        )
    assert run.run_id is None
    assert tracker.failure is not None
    assert url in tracker.failure
    assert "\n" not in tracker.failure


def test_a_damaged_database_costs_one_line(tmp_path: Path) -> None:
    (tmp_path / "tracker").mkdir()
    (tmp_path / "tracker" / "mlflow.db").write_bytes(b"this is no database" * 100)
    tracker = open_tracker("", tmp_path)
    with tracker.start("training", "x", {}) as run:
        pass
    assert run.run_id is None
    assert tracker.failure is not None
    assert "failed" in tracker.failure
    assert "\n" not in tracker.failure


def test_asking_what_is_registered_raises_since_no_answer_is_not_none() -> None:
    class Silent(NullTracker):
        def registered(self, model: str) -> RegisteredModel:
            raise StorageError("no answer")

    with pytest.raises(StorageError, match="no answer"):
        TolerantTracker(Silent()).registered("m")
