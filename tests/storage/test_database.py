"""Opening the database, and what it says when it cannot."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from doggo.core.errors import StorageError
from doggo.storage.database import SCHEMA_VERSION, open_database, sources_table, transaction

ROW = {"source_sha256": "1", "breed": "pug", "path": "a.jpg", "outcome": "added"}


def test_it_is_created_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "home" / "doggo.db"
    engine = open_database(path)
    with transaction(engine) as connection:
        connection.execute(sources_table.insert(), ROW)
    engine.dispose()
    with transaction(open_database(path)) as connection:
        assert connection.execute(select(sources_table.c.path)).scalars().all() == ["a.jpg"]


def test_many_processes_may_create_it_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, doggo.storage.database as database\n"
        "print(flush=True)\n"
        "sys.stdin.readline()\n"
        "database.open_database(pathlib.Path(sys.argv[1]))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "doggo.db")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()  # all have imported: now they start together
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    complaints = [process.communicate(timeout=60)[1] for process in processes]
    assert complaints == [""] * 4


def test_commits_survive_a_power_cut(tmp_path: Path) -> None:
    with open_database(tmp_path / "doggo.db").connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL


def test_a_transaction_is_whole_or_nothing(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "doggo.db")

    def write_three() -> None:
        with transaction(engine) as connection:
            connection.execute(sources_table.insert(), ROW | {"breed": "beagle"})
            connection.execute(sources_table.insert(), ROW)
            connection.execute(sources_table.insert(), ROW)

    with pytest.raises(StorageError, match="UNIQUE"):
        write_three()
    with transaction(engine) as connection:
        assert connection.execute(select(sources_table)).all() == []


SOURCES_OF_RELEASE_1 = (
    "CREATE TABLE sources (source_sha256 VARCHAR(64) NOT NULL, breed VARCHAR(100) NOT NULL, "
    "path VARCHAR(1000) NOT NULL, outcome VARCHAR(20) NOT NULL, reason VARCHAR(40), "
    "detail VARCHAR(300), photo_id VARCHAR(64), PRIMARY KEY (source_sha256, breed))"
)


def test_one_made_by_an_older_release_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "doggo.db"
    with sqlite3.connect(path) as connection:
        connection.execute(SOURCES_OF_RELEASE_1)
        connection.execute(
            "INSERT INTO sources VALUES ('1', 'pug', 'a.jpg', 'added', NULL, NULL, '2')"
        )
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    for _ in range(2):
        engine = open_database(path)
        with transaction(engine) as connection:
            [row] = connection.execute(select(sources_table)).all()
            found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        engine.dispose()
        assert (row.path, row.photo_id, row.read_by, found) == ("a.jpg", "2", None, SCHEMA_VERSION)


def test_one_made_by_a_newer_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "doggo.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(StorageError, match="made by a newer doggo"):
        open_database(path)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "doggo.db"
    path.write_bytes(b"this is not a database, it is a sentence" * 100)
    with pytest.raises(StorageError, match=r"cannot open the database .*not a database"):
        open_database(path)


def test_a_database_that_another_process_holds_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "doggo.db"
    engine = open_database(path)
    holder = sqlite3.connect(path)

    def write() -> None:
        with transaction(engine) as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 50")
            connection.execute(sources_table.insert(), ROW)

    try:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked"):
            write()
    finally:
        holder.close()
