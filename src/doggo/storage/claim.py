"""One process works through the bot's database; others may only add to it.

Order in a chat and Telegram's limits hold only if one process keeps them. It is also enough:
Telegram takes 30 messages a second, and one process answers more photos than that.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from doggo.core.errors import StorageError
from doggo.core.os_errors import explain_os_error

_ADVISORY_KEY = 0x646F67676F  # "doggo"
_KEEPALIVE = {"tcp_keepalives_idle": 5, "tcp_keepalives_interval": 2, "tcp_keepalives_count": 3}

HOLD_S = 0.5
"""Seconds between two looks at whether the claim still holds."""

LOST_AFTER_S = 2.0
"""After so long a holder has noticed that it is none any more."""


class Claim:
    """The right to work through a database; it ends with the process at the latest."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock: FileLock | None = None
        self._connection: Connection | None = None

    def take(self) -> bool:
        """Take it; returns False while another process has it.

        Raises:
            StorageError: the database or its folder refuses.
        """
        if self._engine.dialect.name == "sqlite":
            return self._take_file()
        return self._take_advisory()

    def holds(self) -> bool:
        """Return whether it is still ours: PostgreSQL lets go of it when a connection breaks."""
        if self._connection is None:
            return self._lock is not None
        try:
            self._connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    @property
    def settle_s(self) -> float:
        """Seconds for which a former holder may not know yet that it lost the claim."""
        return 0.0 if self._engine.dialect.name == "sqlite" else LOST_AFTER_S

    def holder(self) -> str:
        """Return a word for who has it, for a message."""
        if self._engine.dialect.name == "sqlite":
            with suppress(OSError):
                return self._path.read_text(errors="replace").strip() or "another process"
        return "another process"

    def release(self) -> None:
        """Give it back."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                # By the word: of a closed connection the server learns when it gets round to it.
                query = text("SELECT pg_advisory_unlock(:key)")
                self._connection.execute(query, {"key": _ADVISORY_KEY})
            with suppress(SQLAlchemyError):
                self._connection.invalidate()  # a pool would keep its session
                self._connection.close()
            self._connection = None

    @property
    def _path(self) -> Path:
        return Path(f"{self._engine.url.database}.lock")

    def _take_file(self) -> bool:
        # Taken and given back by different threads: `asyncio.to_thread` chooses one each time.
        lock = FileLock(self._path, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            return False
        except OSError as error:
            raise StorageError(f"cannot lock {self._path}: {explain_os_error(error)}") from error
        with suppress(OSError):  # only for a message
            self._path.write_text(f"process {os.getpid()}")
        self._lock = lock
        return True

    def _take_advisory(self) -> bool:
        try:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            try:
                taken = _try_advisory(connection)
            except DBAPIError:
                connection.close()
                raise
        except DBAPIError as error:
            said = str(error.orig).strip().partition("\n")[0]
            raise StorageError(f"cannot lock the bot's database: {said}") from error
        if not taken:
            connection.close()
            return False
        self._connection = connection
        return True


def _try_advisory(connection: Connection) -> bool:
    # A machine that lost its power says no goodbye: without these the server would wait for hours.
    for name, value in _KEEPALIVE.items():
        connection.execute(text(f"SET {name} = {value}"))
    query = text("SELECT pg_try_advisory_lock(:key)")
    return bool(connection.execute(query, {"key": _ADVISORY_KEY}).scalar_one())
