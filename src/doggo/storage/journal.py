"""One thread that writes to a database: what is queued meanwhile is committed together.

Owns group commit. A commit that survives a power cut waits for the disk; while it does, more work
queues up and shares the next one, so that many small writes cost few waits. Each piece of work
takes effect as a whole or not at all, and is answered only once it is on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from doggo.core.errors import StorageError

logger = logging.getLogger(__name__)

MOST_TOGETHER = 256
_FAULTS_OF_THE_WORK = (DataError, IntegrityError, ProgrammingError)

T = TypeVar("T")


_EMPTY_LOG = ("PRAGMA wal_checkpoint(TRUNCATE)",)
# The copy that VACUUM makes must not become a file of its own. On a full disk it fails: the log is
# emptied before.
_REWRITE = (*_EMPTY_LOG, "PRAGMA temp_store=MEMORY", "VACUUM", *_EMPTY_LOG)


class _Work(Generic[T]):
    __slots__ = ("do", "error", "future", "result", "then_run")

    def __init__(self, do: Callable[[Connection], T], *, then_run: Sequence[str] = ()) -> None:
        self.do = do
        self.then_run = then_run
        self.future: Future[T] = Future()
        self.result: T | None = None
        self.error: BaseException | None = None


class Journal:
    """Writes to one database from one thread. Work may be given from any thread."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._queue: SimpleQueue[_Work[Any] | None] = SimpleQueue()
        self._closed = False
        self._changes_rewritten = -1  # of an earlier process nothing is known
        self._thread = threading.Thread(target=self._run, name="doggo-journal", daemon=True)
        self._thread.start()

    def submit(self, do: Callable[[Connection], T]) -> Future[T]:
        """Queue some work; the future is done once it is committed.

        Args:
            do: runs on the journal's thread, in a transaction that others share. What it raises
                goes to its caller alone and undoes only what it did; the others are then done
                again, so it should do nothing that a rollback does not undo.

        Returns:
            A future that fails with what `do` raised, or with StorageError if the database
            refused: then nothing of it was kept.
        """
        return self._put(_Work(do))

    async def write(self, do: Callable[[Connection], T]) -> T:
        """Do some work and return its result once it is committed; see `submit`.

        Cancelling the wait does not undo the work.
        """
        return await asyncio.shield(asyncio.wrap_future(self.submit(do)))

    def tidy(self) -> Future[None]:
        """Overwrite what was deleted in the files: SQLite's log is copied back and emptied.

        Rows are overwritten as they are deleted; until this, the log still holds their bytes.
        PostgreSQL does it in its own time (VACUUM).
        """
        work: _Work[None] = _Work(lambda _: None, then_run=_EMPTY_LOG)
        return self._put(work)

    def rewrite(self) -> Future[None]:
        """Write SQLite's file anew if anything changed since, and empty its log.

        A page that is split leaves copies of the rows that moved in its gap, and `secure_delete`
        knows nothing of those: one of some hundred rows was still readable after it was deleted.
        Takes about 10 ms a MB, in which nothing else is written.
        """
        work: _Work[None] = _Work(lambda _: None, then_run=_REWRITE)
        return self._put(work)

    def close(self) -> None:
        """Finish what is queued and close the database."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self.engine.dispose()

    def _put(self, work: _Work[T]) -> Future[T]:
        if self._closed:
            raise StorageError("the bot's database was closed")
        self._queue.put(work)
        return work.future

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, ends = self._gather(first)
            self._commit(batch)
            if runs := max((work.then_run for work in batch), key=len):
                self._run_alone(runs)
            _tell(batch)
            del first, batch
            if ends:
                return

    def _gather(self, first: _Work[Any]) -> tuple[list[_Work[Any]], bool]:
        batch = [first]
        while len(batch) < MOST_TOGETHER:
            try:
                work = self._queue.get_nowait()
            except Empty:
                break
            if work is None:
                return batch, True
            batch.append(work)
        return batch, False

    def _commit(self, batch: list[_Work[Any]]) -> None:
        try:
            together = self._commit_together(batch)
        except Exception as error:  # noqa: BLE001 - all wait for this thread: it never ends
            # Whether a commit that failed was made is not known: nothing is done again.
            logger.error("journal.refused work=%d error=%s", len(batch), type(error).__name__)
            for work in batch:
                work.error = _refusal(error)
            return
        if not together and len(batch) > 1:
            for work in batch:
                work.error = None
                self._commit([work])

    def _commit_together(self, batch: list[_Work[Any]]) -> bool:
        """Commit all of it, or nothing if one piece raises; returns whether it was committed.

        Quicker than a savepoint a piece, of which hardly one is ever needed.
        """
        with self.engine.connect() as connection, connection.begin() as transaction:
            for work in batch:
                try:
                    work.result = work.do(connection)
                except BaseException as error:  # noqa: BLE001 - goes to the caller
                    transaction.rollback()
                    work.error = _told(error)
                    return False
        return True

    def _run_alone(self, statements: Sequence[str]) -> None:
        """Run what SQLite does outside of transactions."""
        if self.engine.dialect.name != "sqlite":
            return
        with contextlib.suppress(DBAPIError, sqlite3.Error):  # the next time will do
            raw = self.engine.raw_connection()
            try:
                sqlite: Any = raw.driver_connection
                rewrites = statements is _REWRITE
                if rewrites and sqlite.total_changes == self._changes_rewritten:
                    statements = _EMPTY_LOG
                for statement in statements:
                    sqlite.execute(statement).close()
                if rewrites:
                    self._changes_rewritten = sqlite.total_changes
            finally:
                raw.close()


def _refusal(error: Exception) -> StorageError:
    said = str(error.orig) if isinstance(error, DBAPIError) else type(error).__name__
    full = "full" in said or "No space left" in said
    advice = "the disk is full: free some space" if full else said.strip().partition("\n")[0]
    refusal = StorageError(f"the bot's database refused: {advice}")
    refusal.__cause__ = error
    return refusal


def _told(error: BaseException) -> BaseException:
    """Return what the caller is told: his own fault as it is, a refusing database as one line."""
    if isinstance(error, DBAPIError) and not isinstance(error, _FAULTS_OF_THE_WORK):
        return _refusal(error)
    return error


def _tell(batch: list[_Work[Any]]) -> None:
    for work in batch:
        if not work.future.set_running_or_notify_cancel():
            continue
        if work.error is not None:
            work.future.set_exception(work.error)
        else:
            work.future.set_result(work.result)
