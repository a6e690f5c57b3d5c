"""What is kept of a home that others write to is a home as it was at one moment."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.living import Living, check_whole

from doggo.storage.snapshot import Snapshot, copy_aside, is_sqlite, list_files, take


def written(snapshot: Snapshot, target: Path) -> Path:
    for kept in snapshot.files:
        file = target / kept.name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept.source, file)
    return target


def test_what_is_written_between_the_copies_and_the_list_leaves_no_pointer_into_the_void(
    tmp_path: Path,
) -> None:
    living = Living(tmp_path / "home", tmp_path)
    living.more()
    living.more()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    copies = copy_aside(living.root, scratch)
    living.more()
    snapshot = list_files(living.root, copies)
    living.close()
    check_whole(written(snapshot, tmp_path / "kept"), versions=2)


def test_what_is_written_last_is_copied_first(tmp_path: Path) -> None:
    living = Living(tmp_path / "home", tmp_path)
    living.more()
    (living.root / "tracker").mkdir()
    with closing(sqlite3.connect(living.root / "tracker" / "mlflow.db")) as tracker:
        tracker.execute("CREATE TABLE runs (name TEXT)")
    (scratch := tmp_path / "scratch").mkdir()
    names = [kept.name for kept in take(living.root, scratch).files]
    living.close()
    assert names[:3] == ["tracker/mlflow.db", "bundles/production", "processed/manifests/latest"]
    assert names[3].startswith("processed/manifests/")
    assert names[4] == "photos.db"
    assert names[5:] == sorted(names[5:])


def test_a_database_that_is_new_since_the_copies_is_left_out_and_named(tmp_path: Path) -> None:
    (home := tmp_path / "home").mkdir()
    (home / "kept").write_text("kept")
    with closing(sqlite3.connect(home / "photos.db")) as late:
        late.execute("PRAGMA journal_mode=WAL")
        late.execute("CREATE TABLE photos (name TEXT)")
        late.commit()
        (home / "production").write_text("late as well")
        snapshot = list_files(home, {})
    assert [kept.name for kept in snapshot.files] == ["kept"]
    assert sorted(snapshot.left_out) == [
        "photos.db (made while the backup was)",
        "production (made while the backup was)",
    ]


def test_a_manifest_that_is_new_since_the_copies_is_kept_for_what_may_name_it(
    tmp_path: Path,
) -> None:
    manifests = tmp_path / "home" / "processed" / "manifests"
    manifests.mkdir(parents=True)
    (manifests / "latest").write_text("new")
    (scratch := tmp_path / "scratch").mkdir()
    copies = copy_aside(tmp_path / "home", scratch)
    (manifests / "new.parquet").write_bytes(b"rows")
    names = [kept.name for kept in list_files(tmp_path / "home", copies).files]
    assert names == ["processed/manifests/latest", "processed/manifests/new.parquet"]


def test_a_file_of_no_whole_pages_is_no_database_and_is_not_opened(tmp_path: Path) -> None:
    assert not is_sqlite(tmp_path / "photo.jpg", 1001)  # it is not even there
    with closing(sqlite3.connect(tmp_path / "some")) as database:
        database.execute("CREATE TABLE one (name TEXT)")
    assert is_sqlite(tmp_path / "some", (tmp_path / "some").stat().st_size)
