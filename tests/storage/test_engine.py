"""Opening the bot's database, and the ways it can refuse."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text, update

from doggo.core.errors import StorageError, UsageError
from doggo.storage import engine as engines
from doggo.storage.engine import open_chat_database


def test_it_opens_again_and_keeps_its_tables(chat_database: str) -> None:
    open_chat_database(chat_database).dispose()
    engine = open_chat_database(chat_database)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM updates")).scalar_one() == 0
    engine.dispose()


def test_a_newer_schema_is_refused(chat_database: str) -> None:
    engine = open_chat_database(chat_database)
    with engine.begin() as connection:
        connection.execute(update(engines._version_table).values(version=99))
    engine.dispose()
    with pytest.raises(StorageError, match="made by a newer doggo"):
        open_chat_database(chat_database)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "is no database URL"),
        ("mysql://a/b", "SQLite or PostgreSQL"),
        ("sqlite://", "names no file"),
    ],
)
def test_a_url_that_cannot_be_is_a_usage_error(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_chat_database(url)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StorageError, match="DOGGO_BOT_DATABASE"):
        open_chat_database(f"sqlite:///{path}")


def test_a_server_that_is_not_there_is_one_line_without_the_password() -> None:
    with pytest.raises(StorageError) as caught:
        open_chat_database("postgresql://doggo:s3cret@127.0.0.1:1/doggo")
    assert "s3cret" not in str(caught.value)


def test_commits_survive_a_power_cut(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    engine = open_chat_database(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar_one() == 1
    engine.dispose()
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    raw.close()


def test_several_may_open_an_empty_database_at_once(chat_database: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(open_chat_database, [chat_database] * 8))
    for engine in opened:
        engine.dispose()
