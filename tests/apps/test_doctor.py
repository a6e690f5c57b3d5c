"""The doctor finds what is wrong, says how to mend it, and touches nothing."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from tests.commands import run_doggo
from tests.homes import Home, drawn_folder
from tests.tiny_bundle import make_bundle, put_another_in_its_place

from doggo.apps import doctor
from doggo.apps.finding import Finding, Level
from doggo.registry.run import promote, register
from doggo.settings import Settings
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore
from doggo.storage.database import open_database
from doggo.vision.pairs import usable_pairs


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)  # no .env but the test's own
    return Settings(home=tmp_path / "home")


def _of(check: str, settings: Settings) -> list[Finding]:
    return list(doctor.CHECKS[check](settings))


def _worst(check: str, settings: Settings) -> Finding:
    order = [Level.OK, Level.WARN, Level.FAIL]
    return max(_of(check, settings), key=lambda finding: order.index(finding.level))


def _with_database(settings: Settings) -> Path:
    file = settings.home / "photos.db"
    open_database(file).dispose()
    return file


def test_a_new_installation_is_healthy_and_stays_untouched(settings: Settings) -> None:
    checkup = doctor.examine(settings)
    assert checkup.healthy, checkup.to_text()
    assert not settings.home.exists()
    assert {finding.check for finding in checkup.findings} == set(doctor.CHECKS)


def test_what_needs_mending_says_how(settings: Settings) -> None:
    for finding in doctor.examine(settings).findings:
        assert (finding.level is Level.OK) == (finding.mend == ""), finding


def test_the_report_is_there_for_people_and_for_machines(settings: Settings) -> None:
    checkup = doctor.examine(settings)
    told = json.loads(json.dumps(checkup.to_json()))
    assert told["healthy"] is True
    assert len(told["findings"]) == len(checkup.findings)
    assert "mend: " in checkup.to_text()  # nothing is in production: it says how to change that


def test_a_damaged_database_is_found(settings: Settings) -> None:
    file = _with_database(settings)
    assert _worst("database", settings).level is Level.OK
    data = bytearray(file.read_bytes())
    data[4096 : 4096 + 600] = b"\xff" * 600
    file.write_bytes(data)
    found = _worst("database", settings)
    assert found.level is Level.FAIL
    assert "doggo restore" in found.mend


def test_a_file_that_is_no_database_is_found(settings: Settings) -> None:
    settings.home.mkdir()
    (settings.home / "photos.db").write_text("hello")
    assert "not a SQLite database" in _worst("database", settings).detail


def test_a_database_of_a_newer_release_is_found(settings: Settings) -> None:
    file = _with_database(settings)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.commit()
    found = _worst("database", settings)
    assert found.level is Level.FAIL
    assert "schema 999" in found.detail
    assert found.mend.startswith("upgrade doggo")


def test_a_database_of_an_older_release_is_well_since_its_next_use_updates_it(
    settings: Settings,
) -> None:
    file = _with_database(settings)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("ALTER TABLE sources DROP COLUMN read_by")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    found = _worst("database", settings)
    assert found.level is Level.OK
    assert "brought up to date on next use" in found.detail
    open_database(file).dispose()
    assert "brought up to date" not in _worst("database", settings).detail


def test_a_damaged_dataset_and_a_lost_shard_are_found(settings: Settings, tmp_path: Path) -> None:
    home = Home.open(settings.home / "buckets")
    home.take_in(drawn_folder(tmp_path / "photos"))
    home.prepare()
    assert "30 photos in 2 shards" in _worst("dataset", settings).detail
    shard = next((settings.home / "buckets" / "processed").rglob("*.npy"))
    shard.rename(shard.with_suffix(".aside"))
    found = _worst("dataset", settings)
    assert (found.level, "1 of 2 shards are lost" in found.detail) == (Level.FAIL, True)
    assert found.mend.startswith("doggo preprocess")
    [manifest] = (settings.home / "buckets" / "processed" / "manifests").glob("*.parquet")
    manifest.write_bytes(b"PAR1")
    assert "is damaged" in _worst("dataset", settings).detail


def test_an_empty_database_is_a_new_one(settings: Settings) -> None:
    (settings.home / "buckets" / "raw").mkdir(parents=True)
    (settings.home / "photos.db").touch()
    assert _worst("database", settings).level is Level.OK
    assert _worst("photos", settings).level is Level.OK


def _photo_row(file: Path, key: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        known = {row[1]: row[2] for row in connection.execute("PRAGMA table_info(photos)")}
        values = {
            name: 0 if "INT" in kind or "BOOL" in kind else f"{name}-{key}"
            for name, kind in known.items()
        }
        values["raw_key"] = key
        marks = ", ".join("?" * len(values))
        connection.execute(
            f"INSERT INTO photos ({', '.join(values)}) VALUES ({marks})",  # noqa: S608 - column names
            list(values.values()),
        )
        connection.commit()


def test_photos_without_their_raw_object_fail_and_orphans_warn(settings: Settings) -> None:
    file = _with_database(settings)
    raw = settings.home / "buckets" / "raw" / "pug"
    raw.mkdir(parents=True)
    (raw / "kept.jpg").write_bytes(b"1")
    _photo_row(file, "pug/kept.jpg")
    assert _worst("photos", settings).level is Level.OK

    (raw / "orphan.jpg").write_bytes(b"2")
    (raw / ".tmp-unfinished").write_bytes(b"3")
    orphan = _worst("photos", settings)
    assert orphan.level is Level.WARN
    assert "1 raw objects" in orphan.detail
    assert "pug/orphan.jpg" in orphan.detail

    _photo_row(file, "pug/lost.jpg")
    lost = _worst("photos", settings)
    assert lost.level is Level.FAIL
    assert "pug/lost.jpg" in lost.detail


def test_a_home_that_is_a_file_fails_and_the_other_checks_still_run(settings: Settings) -> None:
    settings.home.write_text("in the way")
    checkup = doctor.examine(settings)
    assert not checkup.healthy
    assert _worst("home", settings).level is Level.FAIL
    assert {finding.check for finding in checkup.findings} == set(doctor.CHECKS)


def test_a_bucket_of_another_kind_is_found(settings: Settings) -> None:
    elsewhere = Settings(home=settings.home, raw_bucket="sftp://somewhere/photos")
    found = _worst("buckets", elsewhere)
    assert found.level is Level.FAIL
    assert "DOGGO_RAW_BUCKET" in found.mend


def test_a_bucket_that_is_not_mounted_warns(settings: Settings, tmp_path: Path) -> None:
    away = Settings(home=settings.home, raw_bucket=str(tmp_path / "not-mounted"))
    assert _worst("buckets", away).level is Level.WARN
    assert not (tmp_path / "not-mounted").exists()


def test_a_bucket_that_is_a_file_fails(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    taken = Settings(home=settings.home, bundle_bucket=str(tmp_path / "file"))
    assert _worst("buckets", taken).level is Level.FAIL


def test_a_tracker_that_does_not_answer_is_found(settings: Settings) -> None:
    silent = Settings(home=settings.home, tracker="http://127.0.0.1:9/")
    found = _worst("tracker", silent)
    assert found.level is Level.FAIL
    assert "DOGGO_TRACKER" in found.mend


def test_a_misspelled_setting_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert _worst("settings", settings).level is Level.OK
    monkeypatch.setenv("DOGGO_HMOE", "x")
    (tmp_path / ".env").write_text("DOGGO_QUEUESIZE=3\n")
    found = _worst("settings", settings)
    assert found.level is Level.WARN
    assert "DOGGO_HMOE" in found.detail
    assert "DOGGO_QUEUESIZE" in found.detail


def _in_production(settings: Settings, tmp_path: Path) -> BundleStore:
    store = BundleStore(Bucket(settings.home / "buckets" / "bundles"))
    version = register(store, make_bundle(tmp_path / "bundle"), metrics={})
    promote(store, version, why="first")
    return store


def test_another_sealed_bundle_in_the_place_of_production_is_found(
    settings: Settings, tmp_path: Path
) -> None:
    store = _in_production(settings, tmp_path)
    put_another_in_its_place(store.folder(1))
    found = _worst("models", settings)
    assert found.level is Level.FAIL
    assert "is not the one that was registered" in found.detail


def test_production_is_tried_on_the_runtime_that_serves_it(
    settings: Settings, tmp_path: Path
) -> None:
    _in_production(settings, tmp_path)
    unforced = _worst("models", settings).detail
    forced = next(pair for pair in usable_pairs() if f"answers on {pair.name};" not in unforced)
    insisting = Settings(home=settings.home, runtime=forced.name)
    assert f"answers on {forced.name};" in _worst("models", insisting).detail
    impossible = Settings(home=settings.home, runtime="abacus-f32")
    assert _worst("models", impossible).level is Level.OK  # the check of runtimes tells it


def test_a_bucket_on_another_host_is_found(settings: Settings) -> None:
    away = Settings(home=settings.home, raw_bucket="file://data/raw")
    _with_database(away)
    found = _worst("buckets", away)
    assert found.level is Level.FAIL
    assert "file:///" in found.detail
    assert [f.check for f in doctor.examine(away).findings if f.level is Level.FAIL] == ["buckets"]


def test_a_pointer_to_nothing_is_found(settings: Settings) -> None:
    bundles = settings.home / "buckets" / "bundles"
    bundles.mkdir(parents=True)
    (bundles / "production").write_text("torn")
    checkup = doctor.examine(settings)
    assert [f.level for f in checkup.findings if f.check == "models"] == [Level.FAIL]


def test_an_altered_audit_is_found_and_its_mend_mends_it(
    settings: Settings, tmp_path: Path
) -> None:
    store = BundleStore(Bucket(settings.home / "buckets" / "bundles"))
    version = register(store, make_bundle(tmp_path / "colour"), metrics={})
    promote(store, version, why="first", actor="ana")
    assert _worst("models", settings).level is Level.OK
    record = store.bucket.path("audit/000001.json")
    record.write_text(record.read_text().replace('"ana"', '"mallory"'))
    found = _worst("models", settings)
    assert found.level is Level.FAIL
    assert "audit/000001.json is damaged or was altered" in found.detail
    assert "doggo models promote 1 " in found.mend

    shown = run_doggo(settings.home, "models", "audit")
    assert (shown.code, "audit/000001.json" in shown.line()) == (1, True)
    assert run_doggo(settings.home, "models", "list").code == 0
    run_doggo(settings.home, "models", "promote", 1, DOGGO_TRACKER="none")
    assert _worst("models", settings).level is Level.OK
    audit = run_doggo(settings.home, "models", "audit")
    assert audit.code == 0
    assert "gap" in audit.out
    assert "mallory" not in audit.out


def test_a_forced_runtime_that_cannot_be_is_one_finding(settings: Settings) -> None:
    forced = Settings(home=settings.home, runtime="abacus-f32")
    checkup = doctor.examine(forced)
    failed = [f for f in checkup.findings if f.level is Level.FAIL]
    assert [f.check for f in failed] == ["runtimes"]


def test_a_folder_that_may_not_be_read_is_one_finding(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may read everything, so the refusal is raised where the system would raise it.
    _with_database(settings)
    (settings.home / "buckets" / "raw").mkdir(parents=True)
    settings.home.chmod(stat.S_IRWXU)

    def refuse(_: Settings) -> list[Finding]:
        raise PermissionError(13, "denied", str(settings.home))

    monkeypatch.setitem(doctor.CHECKS, "photos", refuse)
    found = [f for f in doctor.examine(settings).findings if f.check == "photos"]
    assert [f.level for f in found] == [Level.FAIL]
    assert "permission denied" in found[0].detail
