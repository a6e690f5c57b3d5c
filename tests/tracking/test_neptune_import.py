"""Exports of Neptune come whole into MLflow, once, whatever is wrong with some of their files."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from tests.tracking.exports import (
    BEGAN,
    PROJECT,
    series,
    system,
    value,
    write,
    write_file,
    write_registry,
    write_run,
)

from doggo.core.errors import InputError, StorageError, UsageError
from doggo.tracking.mlflow import store_urls
from doggo.tracking.mlflow_client import connect
from doggo.tracking.neptune_archive import NeptuneArchive
from doggo.tracking.neptune_import import ImportReport, import_export

EXPERIMENT = f"neptune/{PROJECT}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for the module, since a fresh one takes seconds: tests use their own runs."""
    return tmp_path_factory.mktemp("home")


def _import(home: Path, root: Path, **options: Any) -> ImportReport:
    archive = NeptuneArchive("", home, options.pop("projects", {}))
    return import_export(root, archive, home=home, **options)


def _runs(home: Path, run_id: str, experiment: str = EXPERIMENT) -> list[Any]:
    client = connect(store_urls(home)[0])
    place = client.get_experiment_by_name(experiment)
    if place is None:
        return []
    return list(client.search_runs([place.experiment_id], f"tags.`neptune.run_id` = '{run_id}'"))


def _files(home: Path, run_id: str) -> dict[str, bytes]:
    (run,) = _runs(home, run_id)
    root = Path(run.info.artifact_uri.removeprefix("file://").replace("%20", " "))
    return {
        file.relative_to(root).as_posix(): file.read_bytes()
        for file in root.rglob("*")
        if file.is_file()
    }


def test_a_run_comes_with_all_that_it_held(home: Path, tmp_path: Path) -> None:
    write_run(tmp_path)
    report = _import(home, tmp_path)
    assert report.imported == {"run": 1}
    assert report.to_json()["failed"] == 0
    assert dict(report.written) == {
        "params": 5, "metrics": 5, "files": 4, "series": 2, "rounded_steps": 0,
    }  # fmt: skip
    (run,) = _runs(home, "EXP-1")
    assert run.data.params == {
        "parameters/lr": "0.001", "parameters/epochs": "64", "parameters/model": "resnet",
        "parameters/pretrained": "True", "parameters/labels": "beagle, pug",
    }  # fmt: skip
    assert (run.info.run_name, run.info.status) == ("EXP-1", "FINISHED")
    assert run.info.start_time == int(BEGAN.timestamp() * 1000)
    assert run.info.end_time == run.info.start_time + 2 * 3600 * 1000
    tags = run.data.tags
    assert tags["neptune.project"] == PROJECT
    assert tags["neptune.sys.creation_time"] == BEGAN.isoformat()
    assert tags["neptune.sys.tags"] == "first, resnet"
    history = connect(store_urls(home)[0]).get_metric_history(run.info.run_id, "metrics/val_auc")
    assert [(m.step, m.value, m.timestamp) for m in history] == [
        (place, place / 5, run.info.start_time + 1000 * place) for place in range(5)
    ]
    assert _files(home, "EXP-1") == {
        "charts/curve": b"a curve",
        "data/files_list.json": b"[]",
        "photos/1.000000.png": b"p",
        "source/files.zip": b"a zip",
        "series/monitoring/stdout.txt": b"epoch 1\nepoch 2\n",
        "series/weights.jsonl": b'{"step": null, "time_ms": null, "type": "COUNTING", '
        b'"edges": [0.0, 1.0], "values": [3.0]}\n',
    }


def test_the_same_import_again_doubles_nothing(home: Path, tmp_path: Path) -> None:
    write_run(tmp_path, "EXP-2")
    _import(home, tmp_path)
    before = _runs(home, "EXP-2")[0].to_dictionary()
    report = _import(home, tmp_path)
    assert (report.imported, report.already_present) == ({}, {"run": 1})
    assert [run.to_dictionary() for run in _runs(home, "EXP-2")] == [before]


def test_the_registry_becomes_versions_with_aliases_and_tags(home: Path, tmp_path: Path) -> None:
    write_registry(tmp_path)
    for _ in range(2):
        _import(home, tmp_path)
    client = connect(store_urls(home)[0])
    model = client.get_registered_model("neptune-kennel-experiments-EXP-RES")
    versions = sorted(
        client.search_model_versions(f"name = '{model.name}'"), key=lambda item: int(item.version)
    )
    assert [(v.tags["neptune.version"], v.tags["neptune.stage"]) for v in versions] == [
        ("EXP-RES-9", "archived"), ("EXP-RES-10", "production"),
        ("EXP-RES-11", "production"), ("EXP-RES-12", "staging"),
    ]  # fmt: skip
    assert {k: int(v) for k, v in model.aliases.items()} == {"production": 3, "staging": 4}
    run = client.get_run(versions[2].run_id)
    assert run.data.params == {"score/test_auc": "0.9"}
    kept = Path(versions[2].source.removeprefix("file://").replace("%20", " ")) / "model"
    assert kept.read_bytes() == b"EXP-RES-11"


def test_a_version_that_was_registered_before_the_kill_is_registered_once(
    home: Path, tmp_path: Path
) -> None:
    rows = [*system("KEN-NET-1", stage="production", model_id="KEN-NET"), value("a", "int", 1)]
    write(tmp_path, "KEN-NET-1", rows, scope="model_versions")
    _import(home, tmp_path)
    client = connect(store_urls(home)[0])
    (model,) = client.search_registered_models("name LIKE '%KEN-NET'")
    (version,) = client.search_model_versions(f"name = '{model.name}'")
    client.set_tag(version.run_id, "neptune.import", "not yet")  # what is written last
    client.delete_registered_model_alias(model.name, "production")
    assert _import(home, tmp_path).imported == {"model_version": 1}
    assert len(client.search_model_versions(f"name = '{model.name}'")) == 1
    assert client.get_model_version_by_alias(model.name, "production").run_id == version.run_id


def test_the_two_projects_of_the_settings_stand_with_doggos_own(home: Path, tmp_path: Path) -> None:
    write(tmp_path, "DOG-1", system("DOG-1"), project="kennel/dogs")
    write(tmp_path, "CAT-1", system("CAT-1"), project="kennel/cats")
    _import(home, tmp_path, projects={"experiment": "kennel/dogs", "training": "CAT"})
    assert len(_runs(home, "DOG-1", "experiment")) == len(_runs(home, "CAT-1", "training")) == 1


def test_a_run_in_parts_is_one_run(home: Path, tmp_path: Path) -> None:
    write(tmp_path, "EXP-3", [*system("EXP-3"), *series("loss", [1.0, 2.0])])
    write(tmp_path, "EXP-3", series("acc", [0.5] * 3001), part=1)
    assert _import(home, tmp_path).written["metrics"] == 3003
    (run,) = _runs(home, "EXP-3")
    history = connect(store_urls(home)[0]).get_metric_history(run.info.run_id, "acc")
    assert len(history) == 3001


def test_steps_with_decimals_are_multiplied_or_counted(home: Path, tmp_path: Path) -> None:
    for name in ("EXP-4", "EXP-5"):
        root = tmp_path / name
        write(root, name, [*system(name), *series("loss", [1.0, 2.0, 3.0], step=0.5)])
    assert _import(home, tmp_path / "EXP-4").written["rounded_steps"] == 1
    report = _import(home, tmp_path / "EXP-5", step_multiplier=10)
    assert report.written["rounded_steps"] == 0
    (run,) = _runs(home, "EXP-5")
    history = connect(store_urls(home)[0]).get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in history] == [0, 5, 10]


def test_odd_names_and_values_arrive(home: Path, tmp_path: Path) -> None:
    write(tmp_path, "EXP-6", [
        *system("EXP-6", custom_run_id="my run"),
        value("a:b", "string", "colon"), value("a;b", "string", "semicolon"),
        value("../up", "string", "up"), value("x" * 400, "string", "long name"),
        value("long", "string", "y" * 9000), value("späte/größe", "string", "ß"),
        value("none", "string", None), value("unknown", "git_ref", None),
        *series("bad", [float("nan"), float("inf"), 1.0]),
    ])  # fmt: skip
    report = _import(home, tmp_path)
    assert report.to_json()["failed"] == 0
    (run,) = _runs(home, "EXP-6")
    assert run.info.run_name == "my run"
    values = run.data.params.values()
    assert {"colon", "semicolon", "up", "long name", "ß", "y" * 6000} == set(values)
    (text,) = [data for name, data in _files(home, "EXP-6").items() if "params/long" in name]
    assert len(text) == 9000


def test_a_run_marked_as_failed_stays_so(home: Path, tmp_path: Path) -> None:
    write(tmp_path, "EXP-7", [*system("EXP-7"), value("sys/failed", "bool", True)])
    _import(home, tmp_path)
    assert _runs(home, "EXP-7")[0].info.status == "FAILED"


@pytest.mark.parametrize(
    ("run_id", "path", "kind"),
    [
        ("OUT-1", "../../../secret.txt", "file"), ("OUT-2", "{outside}/secret.txt", "file"),
        ("OUT-3", "link", "file"), ("OUT-4", "..", "file_set"), ("OUT-5", "set", "file_set"),
        ("OUT-6", "a\0b", "file"),
    ],
)  # fmt: skip
def test_a_path_that_leads_out_of_the_export_is_refused(
    home: Path, tmp_path: Path, run_id: str, path: str, kind: str
) -> None:
    root = tmp_path / "export"
    (tmp_path / "secret.txt").write_bytes(b"secret")
    write_file(root, "set/good.txt", b"good")
    inner = next((root / "files").iterdir())
    (inner / "link").symlink_to(tmp_path / "secret.txt")
    (inner / "set" / "link").symlink_to(tmp_path / "secret.txt")
    named = path.format(outside=tmp_path)
    write(root, run_id, [*system(run_id), value("stolen", kind, named)])
    report = _import(home, root)
    assert report.imported == {"run": 1}
    assert len(report.refused_files) == 1
    assert b"secret" not in _files(home, run_id).values()
    assert _import(home, root).already_present == {"run": 1}


def test_a_file_that_is_not_there_is_named_and_tried_again(home: Path, tmp_path: Path) -> None:
    write(tmp_path, "EXP-8", [*system("EXP-8"), value("a/b", "file", "EXP-8/a/b")])
    first = _import(home, tmp_path)
    assert first.missing_files == ["EXP-8: a/b: EXP-8/a/b"]
    write_file(tmp_path, "EXP-8/a/b", b"found")
    assert _import(home, tmp_path).missing_files == []
    assert _files(home, "EXP-8") == {"a/b": b"found"}
    assert _import(home, tmp_path).already_present == {"run": 1}


def test_what_cannot_be_read_is_one_line_and_stops_nothing(home: Path, tmp_path: Path) -> None:
    torn = write(tmp_path, "BAD-1", [*system("BAD-1"), *series("loss", [0.1] * 500)])
    torn.write_bytes(torn.read_bytes()[:-100])
    write(tmp_path, "BAD-2", system("BAD-2"), without="attribute_type")
    write(tmp_path, "BAD-3", [*system("BAD-3"), *series("l", [1.0])], without="float_value")
    write(tmp_path, "BAD-4", system("BAD-4"), part=1)
    flipped = write(tmp_path, "BAD-5", [*system("BAD-5"), *series("loss", [0.1, 0.2] * 900)])
    data = bytearray(flipped.read_bytes())
    data[40:400] = bytes(360)
    flipped.write_bytes(data)
    (torn.parent / "BAD-6_part_0.parquet").write_bytes(b"")
    two = [*system("BAD-7"), {**value("x", "int", 1), "run_id": "ELSE-1"}]
    write(tmp_path, "BAD-7", two)
    write_run(tmp_path, "GOOD-1")
    report = _import(home, tmp_path)
    assert report.imported == {"run": 1}
    assert len(report.failed) == 7
    assert all("\n" not in line and "export" in line for line in report.failed)
    said = "\n".join(report.failed)
    for part in (
        "column attribute_type is missing", "column float_value is missing",
        "part 0 is missing (its export was not finished)", "also holds rows of ELSE-1",
    ):  # fmt: skip
        assert part in said
    assert len(_runs(home, "GOOD-1")) == 1
    tags = [run.data.tags for name in ("BAD-3", "BAD-7") for run in _runs(home, name)]
    assert all(tag.get("neptune.import") != "complete" for tag in tags)


_KILLED = """
import os, signal, sys
from pathlib import Path
from doggo.tracking.neptune_archive import NeptuneArchive
from doggo.tracking.neptune_import import import_export
home, root, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
def die(stage, done, total):
    if stage == "rows" and done >= last:
        os.kill(os.getpid(), signal.SIGKILL)
import_export(root, NeptuneArchive("", home, {}), home=home, progress=die)
"""


def test_killed_in_the_middle_the_same_import_goes_on(home: Path, tmp_path: Path) -> None:
    name = "KILL"
    write(tmp_path, name, [
        *system(name), value("log", "string_series", "once"),
        *series("loss", [float(place) for place in range(2500)]),
        value("a/b", "file", write_file(tmp_path, "KILL/a/b", b"once")),
    ])  # fmt: skip
    write_run(tmp_path, f"{name}-2", points=200)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(home), str(tmp_path), "2000"], check=False
    )
    assert done.returncode == -signal.SIGKILL
    begun = [run for one in (name, f"{name}-2") for run in _runs(home, one)]
    assert any(run.data.tags.get("neptune.import") != "complete" for run in begun)
    _import(home, tmp_path)
    assert _import(home, tmp_path).already_present == {"run": 2}
    client = connect(store_urls(home)[0])
    for run_id, metric, points in ((name, "loss", 2500), (f"{name}-2", "metrics/val_auc", 200)):
        (run,) = _runs(home, run_id)
        history = client.get_metric_history(run.info.run_id, metric)
        assert [point.step for point in history] == list(range(points))
    assert _files(home, name) == {"a/b": b"once", "series/log.txt": b"once\n"}


def test_a_folder_that_is_no_export_is_said_in_one_line(home: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no export"):
        _import(home, tmp_path)


def test_an_empty_export_imports_nothing(home: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert _import(home, tmp_path).to_json()["imported"] == {
        "run": 0, "model": 0, "model_version": 0,
    }  # fmt: skip


def test_two_imports_at_once_do_not_meet(home: Path, tmp_path: Path) -> None:
    write_run(tmp_path, "EXP-9")
    with (
        FileLock(home / ".neptune-import.lock"),
        pytest.raises(StorageError, match="another import is running"),
    ):
        _import(home, tmp_path)


@pytest.mark.parametrize("url", ["none", "neptune-offline:x"])
def test_an_import_needs_mlflow(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="an import goes into MLflow"):
        NeptuneArchive(url, tmp_path, {})
