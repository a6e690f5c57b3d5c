"""The database: one engine, all tables, one version number.

Owns the schema and its version. The queries live beside their noun (`photos.py`, `ledger.py`,
`pixels.py`). SQLite in WAL mode with synchronous=FULL: a committed row survives a power cut.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.exc import DatabaseError

from doggo.core.errors import StorageError
from doggo.core.os_errors import explain_os_error
from doggo.storage.home import may_write, not_yours, read_only_uri

SCHEMA_VERSION = 3
_COLUMNS_SINCE = {2: ("ALTER TABLE sources ADD COLUMN read_by VARCHAR(200)",)}
_TIMEOUT_S = 30  # that one process waits for another one's transaction

metadata = MetaData()

photos_table = Table(
    "photos",
    metadata,
    Column("photo_id", String(64), primary_key=True),
    Column("source_sha256", String(64), nullable=False),
    Column("breed", String(100), nullable=False),
    Column("raw_key", String(200), nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("phash", String(16), nullable=False),
    # Five bands of the perceptual hash: two hashes at Hamming distance <= 4 share at least
    # one whole band (pigeonhole), so a look-up needs five indexes and never reads all rows.
    *(Column(f"band_{i}", Integer, nullable=False) for i in range(5)),
    Column("group_id", String(64), nullable=False, index=True),
    Column("split", String(10)),
    Column("origin", String(10), nullable=False),
    Column("may_be_shown", Boolean, nullable=False),
    Column("quarantine", String(40)),
    *(Index(f"ix_photos_band_{i}", f"band_{i}") for i in range(5)),
)

sources_table = Table(
    "sources",
    metadata,
    Column("source_sha256", String(64), primary_key=True),
    Column("breed", String(100), primary_key=True),
    Column("path", String(1000), nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("reason", String(40)),
    Column("detail", String(300)),
    Column("photo_id", String(64), index=True),
    Column("read_by", String(200)),
)

copies_table = Table(
    "copies",  # where files of the ledger were met beside the path that it has
    metadata,
    Column("source_sha256", String(64), primary_key=True),
    Column("breed", String(100), primary_key=True),
    Column("path", String(1000), primary_key=True),
)

pixels_table = Table(
    "pixels",
    metadata,
    Column("photo_id", String(64), primary_key=True),
    Column("short_side_px", Integer, primary_key=True),
    Column("decoder", String(100), primary_key=True),
    Column("step", String(100), primary_key=True),
    Column("shard", String(100), nullable=False, index=True),
    Column("offset", BigInteger, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("width_px", Integer, nullable=False),
)

# A list of any length as one parameter, so that a statement stays the same and is compiled once:
# look-ups are made for every photo, and SQLAlchemy's own lists took a fifth of intake's time.
VALUES = select(func.json_each(bindparam("values")).table_valued("value").c.value)
"""What a column may be `in_`; a statement with it is executed with `values_of` them."""


def values_of(values: Iterable[str] | Iterable[int]) -> dict[str, str]:
    """Return the parameter of a statement with `VALUES`."""
    return {"values": json.dumps(list(values))}


def open_database(path: Path, *, write: bool = True) -> Engine:
    """Open the SQLite database at `path`: created, or brought up to date, if need be.

    Args:
        write: False: it will only be read, so one that this user may not write to will do.

    Raises:
        StorageError: the file cannot be opened, is damaged, was made by a newer release, or is
            not this user's.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {path.parent}: {explain_os_error(error)}") from error
    if may_write(path):
        engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _TIMEOUT_S})
        event.listen(engine, "connect", _configure)
    elif write or not path.exists():
        raise StorageError(not_yours(path, "write to"))
    else:
        engine = create_engine(f"sqlite:///{read_only_uri(path)}&uri=true")
    try:
        with engine.begin() as connection:
            found = _schema_of(connection)
            if found > SCHEMA_VERSION:
                raise StorageError(
                    f"{path} was made by a newer doggo (schema {found}, this one knows "
                    f"{SCHEMA_VERSION}); upgrade doggo or set DOGGO_HOME to another folder"
                )
            if found < SCHEMA_VERSION:
                # Two commands may open a new home at once: one makes the tables.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                _bring_up_to_date(connection)
    except DatabaseError as error:
        if "readonly" in str(error.orig):
            raise StorageError(not_yours(path, "write to")) from error
        raise StorageError(
            f"cannot open the database {path}: {error.orig}; restore it from a backup "
            "(`doggo restore`) or set DOGGO_HOME to another folder"
        ) from error
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Give a connection whose work is committed as a whole, or not at all.

    Raises:
        StorageError: the database refuses: the disk is full, another process holds it, it is
            damaged.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except DatabaseError as error:
        said = str(error.orig)
        advice = (
            "the disk is full; free some space and run the same command again"
            if "full" in said
            else f"{said}; run `doggo doctor`"
        )
        raise StorageError(f"cannot use the database {engine.url.database}: {advice}") from error


def _schema_of(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _bring_up_to_date(connection: Connection) -> None:
    """Make what this release has beyond the one that made the file: all of it, if it is new."""
    found = _schema_of(connection)
    if found:
        for version in range(found + 1, SCHEMA_VERSION + 1):
            for statement in _COLUMNS_SINCE.get(version, ()):
                connection.exec_driver_sql(statement)
    metadata.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


def use_wal(cursor: sqlite3.Cursor) -> None:
    """Turn the write-ahead log on, which a database keeps from then on.

    Two processes that do it to a new file at once get "database is locked" at once: SQLite does
    not wait in this one case, whatever the timeout.
    """
    deadline_s = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline_s:
                raise
            time.sleep(0.01)
        else:
            return


def _configure(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # the driver's own connection
    use_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    # Hashes make every insert touch pages all over the indexes. With SQLite's defaults (2 MB of
    # cache, the log copied back every 4 MB) most of an intake's writing is doing that again.
    cursor.execute("PRAGMA cache_size=-65536")
    cursor.execute("PRAGMA wal_autocheckpoint=8192")
    cursor.close()
