"""Group commit: together on the disk, each for itself in success and failure."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, func, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from doggo.core.errors import StorageError
from doggo.storage import replies, updates
from doggo.storage.engine import open_chat_database, people_table
from doggo.storage.journal import Journal
from doggo.storage.replies import NewReply, ReplyRow
from doggo.storage.updates import UpdateRow


def a_person(name: str):
    def write(connection: Connection) -> str:
        row = {"person": name, "language": "", "consent": "unasked", "blocked": False}
        connection.execute(insert(people_table).values(row))
        return name

    return write


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(people_table)).scalar_one()


def test_what_is_queued_meanwhile_shares_a_commit(chat_database: str) -> None:
    journal = Journal(open_chat_database(chat_database))
    commits = []
    event.listen(journal.engine, "commit", lambda _: commits.append(1))
    gate = threading.Event()
    first = journal.submit(lambda _: gate.wait(10))
    later = [journal.submit(a_person(f"p{n}")) for n in range(100)]
    gate.set()
    assert first.result(10) is True
    assert [one.result(10) for one in later] == [f"p{n}" for n in range(100)]
    assert len(commits) <= 2
    assert journal.submit(count).result(10) == 100
    journal.close()


def test_what_fails_undoes_itself_alone(chat_database: str) -> None:
    journal = Journal(open_chat_database(chat_database))
    gate = threading.Event()
    journal.submit(lambda _: gate.wait(10))

    def half(connection: Connection) -> None:
        a_person("half")(connection)
        raise KeyError("bug")

    good, bad = journal.submit(a_person("good")), journal.submit(half)
    double, late = journal.submit(a_person("good")), journal.submit(a_person("late"))
    gate.set()
    assert good.result(10) == "good"
    with pytest.raises(KeyError):
        bad.result(10)
    with pytest.raises(IntegrityError):
        double.result(10)
    assert late.result(10) == "late"
    assert journal.submit(count).result(10) == 2
    journal.close()


def test_what_was_answered_is_there_for_the_next_process(chat_database: str) -> None:
    journal = Journal(open_chat_database(chat_database))
    asyncio.run(journal.write(a_person("kept")))
    journal.close()
    again = Journal(open_chat_database(chat_database))
    assert again.submit(count).result(10) == 1
    again.close()


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = Journal(open_chat_database(f"sqlite:///{tmp_path / 'bot.db'}"))
    queued = [journal.submit(a_person(str(n))) for n in range(20)]
    journal.close()
    assert all(one.done() for one in queued)
    with pytest.raises(StorageError, match="closed"):
        journal.submit(count)


def test_a_cancelled_wait_does_not_undo_the_work(tmp_path: Path) -> None:
    journal = Journal(open_chat_database(f"sqlite:///{tmp_path / 'bot.db'}"))

    async def scenario() -> None:
        gate = threading.Event()
        journal.submit(lambda _: gate.wait(10))
        wait = asyncio.create_task(journal.write(a_person("kept")))
        await asyncio.sleep(0)
        wait.cancel()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await wait

    asyncio.run(scenario())
    assert journal.submit(count).result(10) == 1
    journal.close()


def test_tidy_leaves_no_byte_of_what_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    journal = Journal(open_chat_database(f"sqlite:///{path}"))
    journal.submit(a_person("a-secret-name")).result(10)
    assert any(b"a-secret-name" in file.read_bytes() for file in tmp_path.iterdir())
    journal.submit(lambda c: c.execute(people_table.delete())).result(10)
    journal.tidy().result(10)
    assert not any(b"a-secret-name" in file.read_bytes() for file in tmp_path.iterdir())
    journal.close()


def test_what_is_no_fault_of_the_work_is_told_as_the_databases(chat_database: str) -> None:
    journal = Journal(open_chat_database(chat_database))

    def deadlock(connection: Connection) -> None:
        raise OperationalError("DELETE", {}, Exception("deadlock detected"))

    gate = threading.Event()
    journal.submit(lambda _: gate.wait(10))
    bad, good = journal.submit(deadlock), journal.submit(a_person("good"))
    gate.set()
    with pytest.raises(StorageError, match="refused: deadlock detected"):
        bad.result(10)
    assert good.result(10) == "good"
    assert journal.submit(count).result(10) == 1
    journal.close()


def test_rewriting_leaves_no_byte_in_the_gaps_of_pages(tmp_path: Path) -> None:
    """Pages that split keep copies of the rows that moved: `secure_delete` misses those."""
    draw = random.Random(3)  # with this one `tidy` alone leaves something
    engine = open_chat_database(f"sqlite:///{tmp_path / 'bot.db'}")
    event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF").close())
    engine.dispose()  # the next connection need not wait for the disk
    journal = Journal(engine)
    numbers = list(range(1, 401))
    draw.shuffle(numbers)
    waiting: list[int] = []
    answered: dict[int, list[ReplyRow]] = {}

    def store(number: int) -> None:
        row = UpdateRow(
            update_id=number,
            kind="photo",
            chat_id=5_000_000_000_000 + number,
            payload={
                "text": f"SECRET{number:06d}x" * draw.randint(1, 20),
                "chat_id": 5_000_000_000_000 + number,
            },
            received_at=time.time(),
        )
        journal.submit(partial(updates.store, rows=[row])).result(10)
        waiting.append(number)

    def answer(number: int) -> None:
        reply = NewReply(
            update_id=number,
            chat_id=5_000_000_000_000 + number,
            is_group=False,
            method="sendMessage",
            arguments={"text": f"ANSWER{number:06d}x" * draw.randint(1, 40)},
            expires_at=1e12,
        )

        def do(connection: Connection) -> list[ReplyRow]:
            rows = replies.add(connection, [reply], time.time())
            updates.answered(connection, [number], time.time())
            return rows

        answered[number] = journal.submit(do).result(10)

    def send(number: int) -> None:
        [row] = answered.pop(number)
        journal.submit(partial(replies.sent, row=row, now=time.time())).result(10)

    for number in numbers:
        store(number)
        if draw.random() < 0.6:
            answer(waiting.pop(draw.randrange(len(waiting))))
        if draw.random() < 0.5 and answered:
            send(draw.choice(list(answered)))
    for number in waiting:
        answer(number)
    for number in list(answered):
        send(number)
    journal.rewrite().result(10)
    left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"SECRET" not in left
    assert b"ANSWER" not in left
    journal.close()


def test_a_file_that_did_not_change_is_not_written_anew(tmp_path: Path) -> None:
    journal = Journal(open_chat_database(f"sqlite:///{tmp_path / 'bot.db'}"))
    journal.submit(a_person("kept")).result(10)
    journal.rewrite().result(10)
    before = (tmp_path / "bot.db").stat().st_mtime_ns
    journal.submit(count).result(10)
    journal.rewrite().result(10)
    assert (tmp_path / "bot.db").stat().st_mtime_ns == before
    assert journal.submit(count).result(10) == 1
    journal.close()


def test_the_thread_outlives_an_error_that_is_not_the_drivers(tmp_path: Path) -> None:
    journal = Journal(open_chat_database(f"sqlite:///{tmp_path / 'bot.db'}"))

    def fail(_: object) -> None:
        raise RuntimeError("a bug at the commit")

    event.listen(journal.engine, "commit", fail)
    with pytest.raises(StorageError, match="refused: RuntimeError"):
        journal.submit(a_person("lost")).result(10)
    event.remove(journal.engine, "commit", fail)
    assert journal.submit(a_person("kept")).result(10) == "kept"
    assert journal.submit(count).result(10) == 1
    journal.close()
