"""The bot's database: SQLite in a file, or PostgreSQL by URL; its tables and their version.

Owns connecting, what makes a commit survive a power cut, and what becomes of deleted bytes: in
SQLite they are overwritten at once (`secure_delete`), `Journal.tidy` empties the log and
`Journal.rewrite` the gaps. Errors never show values. The queries live beside their noun
(`updates.py`, `replies.py`, `people.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from doggo.core.errors import StorageError, UsageError
from doggo.core.os_errors import explain_os_error
from doggo.storage.database import use_wal

CHAT_SCHEMA_VERSION = 1
_TIMEOUT_S = 30
_MAKING_TABLES = 0x7461626C6573  # "tables"

chat_metadata = MetaData()

_version_table = Table("chat_schema", chat_metadata, Column("version", Integer, primary_key=True))

updates_table = Table(
    "updates",
    chat_metadata,
    Column("update_id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(40), nullable=False),
    Column("state", String(10), nullable=False),
    Column("received_at", Float, nullable=False),
    Column("finished_at", Float),
    # These two are emptied once the answer is delivered, and after 24 h in any case.
    Column("chat_id", BigInteger),
    Column("payload", JSON(none_as_null=True)),
    Column("starts", Integer, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("not_before", Float, nullable=False, server_default="0"),
    Column("error", String(200)),
    Index("ix_updates_state", "state", "update_id"),
)

replies_table = Table(
    "replies",
    chat_metadata,
    Column("reply_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("update_id", BigInteger, nullable=False, index=True),
    Column("chat_id", BigInteger, nullable=False),
    Column("is_group", Boolean, nullable=False),
    Column("method", String(40), nullable=False),
    Column("arguments", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("not_before", Float, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)

people_table = Table(
    "people",
    chat_metadata,
    Column("person", String(64), primary_key=True),  # HMAC of the user's id
    Column("language", String(20), nullable=False),
    Column("consent", String(10), nullable=False),
    Column("blocked", Boolean, nullable=False),
)

told_table = Table(
    "told",
    chat_metadata,
    Column("prediction_id", String(32), primary_key=True),
    Column("person", String(64), nullable=False, index=True),
    Column("told_at", Float, nullable=False, index=True),
    Column("model_version", Integer, nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("breeds", JSON, nullable=False),
    Column("album", JSON, nullable=False),
)

feedback_table = Table(
    "feedback",
    chat_metadata,
    Column("prediction_id", String(32), primary_key=True),
    Column("person", String(64), primary_key=True, index=True),
    Column("given_at", Float, nullable=False, index=True),
    Column("breed", String(100)),
    Column("source", String(20), nullable=False),
)


def open_chat_database(url: str) -> Engine:
    """Open (or create) the bot's database.

    Args:
        url: `sqlite:///FILE`, or `postgresql://USER:PASSWORD@HOST/NAME`.

    Raises:
        UsageError: the URL is none, or its driver is not installed.
        StorageError: it cannot be opened, is damaged, or was made by a newer release.
    """
    engine = _engine(url)
    where = engine.url.render_as_string(hide_password=True)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":  # two that make the tables at once would fail
                connection.execute(select(func.pg_advisory_xact_lock(_MAKING_TABLES)))
            if not inspect(connection).has_table(_version_table.name):
                chat_metadata.create_all(connection)
                connection.execute(insert(_version_table).values(version=CHAT_SCHEMA_VERSION))
            found = connection.execute(select(_version_table.c.version)).scalar_one()
    except DBAPIError as error:
        engine.dispose()
        said = str(error.orig).strip().splitlines()[0]
        raise StorageError(
            f"cannot open the bot's database {where}: {said}; check DOGGO_BOT_DATABASE"
        ) from error
    if found > CHAT_SCHEMA_VERSION:
        engine.dispose()
        raise StorageError(
            f"{where} was made by a newer doggo (schema {found}, this one knows "
            f"{CHAT_SCHEMA_VERSION}); upgrade doggo or name another database"
        )
    return engine


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UsageError(
            "DOGGO_BOT_DATABASE is no database URL: write sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/NAME"
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _sqlite(parsed.database or "")
    if backend != "postgresql":
        raise UsageError(
            f"DOGGO_BOT_DATABASE names {backend}: the bot keeps its updates in SQLite or PostgreSQL"
        )
    try:
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={"connect_timeout": _TIMEOUT_S},
            hide_parameters=True,
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise UsageError(
            "PostgreSQL needs psycopg: install it with `pip install 'doggo[postgres]'`"
        ) from error


def _sqlite(path: str) -> Engine:
    if not path:
        raise UsageError("DOGGO_BOT_DATABASE names no file: write sqlite:///FILE")
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {Path(path).parent}: {explain_os_error(error)}") from error
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": _TIMEOUT_S, "check_same_thread": False},
        hide_parameters=True,
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: Any, _: object) -> None:
    # The driver must not begin transactions by itself: savepoints would not hold.
    connection.isolation_level = None
    cursor = connection.cursor()
    use_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _begin(connection: Any) -> None:
    # Taken at once: two writers wait for each other instead of failing half-way.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
