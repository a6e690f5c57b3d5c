"""The doctor's look at SQLite databases: whole, and of a schema that this release reads?

Changes nothing: they are opened read-only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from doggo.apps.finding import Finding, Level
from doggo.settings import Settings
from doggo.storage.home import read_only_uri
from doggo.storage.snapshot import is_sqlite

_PHOTO_DATABASES = ("photos.db", "new_photos.db")


def databases(settings: Settings) -> Iterator[Finding]:
    """Is every database whole, and of a schema that this release reads?"""
    files = [
        file for found in ("*.db", "tracker/*.db") for file in sorted(settings.home.glob(found))
    ]
    if not files:
        yield Finding(check="database", level=Level.OK, detail="none yet; made on first use")
    for file in files:
        yield _database(file)


def _database(file: Path) -> Finding:
    from doggo.storage.database import SCHEMA_VERSION

    if damage := damage_of(file):
        return Finding(
            check="database",
            level=Level.FAIL,
            detail=f"{file} {damage}",
            mend="put a backup back: doggo restore FILE --force",
        )
    schema = schema_of(file) if file.name in _PHOTO_DATABASES else SCHEMA_VERSION
    if schema > SCHEMA_VERSION:
        return Finding(
            check="database",
            level=Level.FAIL,
            detail=(
                f"{file} was made by a newer doggo (schema {schema}, this one knows "
                f"{SCHEMA_VERSION})"
            ),
            mend="upgrade doggo, or set DOGGO_HOME to another folder",
        )
    older = f"; of schema {schema}, brought up to date on next use"
    return Finding(
        check="database",
        level=Level.OK,
        detail=f"{file.name} is whole{older if schema < SCHEMA_VERSION else ''}",
    )


def schema_of(file: Path) -> int:
    """Return the schema of photo rows in a database, 0 where nothing was made yet."""
    return int(str(query(file, "PRAGMA user_version")[0][0]))


def query(file: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(read_only_uri(file), uri=True, timeout=10)) as connection:
        return connection.execute(statement).fetchall()


def damage_of(file: Path) -> str:
    """Return what is wrong with a SQLite file, empty if nothing is; an empty file is a new one."""
    if file.stat().st_size and not is_sqlite(file):
        return "is not a SQLite database"
    try:
        answer = str(query(file, "PRAGMA integrity_check(1)")[0][0])
    except sqlite3.Error as error:
        return f"cannot be read: {error}"
    return "" if answer == "ok" else f"is damaged: {answer}"
