"""From the inbox to the outbox: order, retries, albums, giving up."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from doggo.bot.client import CallError, Trouble
from doggo.bot.inbox import to_payload
from doggo.bot.worker import ATTEMPTS, STARTS, Worker
from doggo.core.chat import ChatKind, FileRef, Incoming, Kind, Look, Refusal
from doggo.storage import updates
from doggo.storage.engine import open_chat_database
from doggo.storage.journal import Journal
from doggo.storage.replies import ReplyRow
from doggo.storage.updates import UpdateRow


class Edges:
    """What the worker drives: looking at photos, and finishing in a transaction."""

    def __init__(self) -> None:
        self.finished: list[tuple[int, ...]] = []
        self.fail: dict[int, list[Exception]] = defaultdict(list)
        self.looking = self.most_looking = 0
        self.delay_s = 0.0
        self.chats_in_hand: set[int] = set()

    async def look(self, incoming: Incoming) -> Look:
        assert incoming.chat_id not in self.chats_in_hand or incoming.album
        self.chats_in_hand.add(incoming.chat_id)
        self.looking += 1
        self.most_looking = max(self.most_looking, self.looking)
        try:
            await asyncio.sleep(self.delay_s)
            if self.fail[incoming.update_id]:
                raise self.fail[incoming.update_id].pop(0)
        finally:
            self.looking -= 1
            self.chats_in_hand.discard(incoming.chat_id)
        return Look(incoming=incoming, outcome=Refusal.GONE)

    def finish(
        self, connection: Connection, found: Sequence[Incoming], looks: Sequence[Look]
    ) -> list[ReplyRow]:
        ids = [one.update_id for one in found]
        updates.answered(connection, ids, time.time())
        updates.delivered(connection, ids, time.time())
        self.finished.append(tuple(ids))
        return []

    @property
    def order(self) -> list[int]:
        return [update_id for ids in self.finished for update_id in ids]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(open_chat_database(f"sqlite:///{tmp_path / 'bot.db'}"))
    yield opened
    opened.close()


def put(journal: Journal, *ids: int, chat: int = 1, album: str = "", starts: int = 0) -> None:
    rows = [
        UpdateRow(
            update_id=one,
            kind="photo",
            chat_id=chat,
            payload=to_payload(
                Incoming(
                    update_id=one,
                    kind=Kind.PHOTO,
                    chat_id=chat,
                    chat_kind=ChatKind.PRIVATE,
                    user_id=chat,
                    file=FileRef(file_id="f"),
                    album=album,
                )
            ),
            received_at=time.time(),
        )
        for one in ids
    ]
    journal.submit(lambda c: updates.store(c, rows)).result(10)
    for _ in range(starts):
        journal.submit(lambda c: updates.begin(c, ids)).result(10)


@asynccontextmanager
async def working(journal: Journal, edges: Edges, **given: float) -> AsyncIterator[Worker]:
    worker = Worker(
        journal,
        look=edges.look,
        finish=edges.finish,
        deliver=lambda _: None,
        album_quiet_s=given.get("album_quiet_s", 0.1),
    )
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def idle(worker: Worker, journal: Journal, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while worker.waiting or journal.submit(updates.count_waiting).result(10):
        assert time.monotonic() < deadline, "it does not come to an end"
        await asyncio.sleep(0.01)


def test_each_chat_keeps_its_order_and_chats_go_in_parallel(journal: Journal) -> None:
    edges = Edges()
    edges.delay_s = 0.005
    for n in range(10):
        for chat in range(1, 13):
            put(journal, 1000 * n + chat, chat=chat)

    async def scenario() -> None:
        async with working(journal, edges) as worker:
            await idle(worker, journal)

    asyncio.run(scenario())
    assert sorted(edges.order) == edges.order or len(edges.order) == 120
    for chat in range(1, 13):
        assert [one for one in edges.order if one % 1000 == chat] == [
            1000 * n + chat for n in range(10)
        ]
    assert edges.most_looking == 8


def test_numbers_that_come_out_of_order_are_put_in_order(journal: Journal) -> None:
    edges = Edges()
    edges.delay_s = 0.1

    async def scenario() -> None:
        async with working(journal, edges) as worker:
            put(journal, 10)
            worker.notify()
            await asyncio.sleep(0.05)
            put(journal, 13, 12, 11)
            put(journal, 5)  # below what was seen: found all the same
            worker.notify()
            await asyncio.sleep(0.05)
            await idle(worker, journal)

    asyncio.run(scenario())
    assert edges.order[0] == 10
    assert sorted(edges.order) == [5, 10, 11, 12, 13]
    assert edges.order.index(11) < edges.order.index(12) < edges.order.index(13)


def test_an_album_is_one_message(journal: Journal) -> None:
    edges = Edges()

    async def scenario() -> None:
        async with working(journal, edges, album_quiet_s=0.3) as worker:
            put(journal, 1, 2, album="a")
            worker.notify()
            await asyncio.sleep(0.1)
            put(journal, 3, album="a")
            worker.notify()
            await asyncio.sleep(0.35)
            put(journal, 4, 5, album="b")
            put(journal, 6)
            worker.notify()
            await idle(worker, journal)

    asyncio.run(scenario())
    assert edges.finished == [(1, 2, 3), (4, 5), (6,)]


def test_a_poison_update_is_tried_a_few_times_then_parked_and_the_next_is_answered(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.bot.worker.pause_s_after", lambda _: 0.01)
    edges = Edges()
    edges.fail[1] = [ValueError("words of a person")] * 99
    edges.fail[3] = [KeyError("once")]
    put(journal, 1, 2, 3)

    async def scenario() -> None:
        async with working(journal, edges) as worker:
            await idle(worker, journal)

    asyncio.run(scenario())
    assert edges.order == [2, 3]
    assert len(edges.fail[1]) == 99 - ATTEMPTS
    [letter] = journal.submit(updates.dead_letters).result(10)
    assert (letter.update_id, letter.attempts) == (1, ATTEMPTS)
    assert "ValueError" in letter.error
    assert "words" not in letter.error


def test_what_kills_the_process_each_time_is_parked(journal: Journal) -> None:
    edges = Edges()
    put(journal, 1, starts=STARTS)
    put(journal, 2, starts=STARTS - 1)

    async def scenario() -> None:
        async with working(journal, edges) as worker:
            await idle(worker, journal)

    asyncio.run(scenario())
    assert edges.order == [2]
    [letter] = journal.submit(updates.dead_letters).result(10)
    assert "process died" in letter.error


def test_a_start_is_on_the_disk_before_the_photo_is_looked_at_for_long(journal: Journal) -> None:
    edges = Edges()
    edges.delay_s = 0.5
    put(journal, 1)  # waits from before: it may be what ended the process before

    async def scenario() -> list[int]:
        async with working(journal, edges) as worker:
            put(journal, 2, chat=2)
            worker.notify()
            await asyncio.sleep(0.25)
            rows = await journal.write(partial(updates.waiting, above=None, limit=2))
            return [row.starts for row in rows]

    assert asyncio.run(scenario()) == [1, 0]


def test_a_late_number_is_found_while_news_keep_coming(journal: Journal) -> None:
    edges = Edges()

    async def scenario() -> None:
        async with working(journal, edges) as worker:
            put(journal, 100, chat=100)
            worker.notify(100)
            await asyncio.sleep(0.2)
            put(journal, 50, chat=50)  # taken in by a webhook that was refused before
            put(journal, 60, chat=60)  # taken in by another process: nobody tells
            worker.notify(50)
            for number in range(101, 141):  # never a second without news
                put(journal, number, chat=number)
                worker.notify(number)
                await asyncio.sleep(0.05)
            assert {50, 60} < set(edges.order)
            assert edges.order.index(50) <= 3
            await idle(worker, journal)

    asyncio.run(scenario())


def test_an_outage_is_no_death_however_often_it_is_tried(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.bot.worker.pause_s_after", lambda _: 0.01)
    edges = Edges()
    edges.fail[1] = [CallError(Trouble.AWAY, "ConnectError")] * 2 * STARTS
    put(journal, 1)

    async def scenario() -> None:
        async with working(journal, edges) as worker:
            await idle(worker, journal)

    asyncio.run(scenario())
    assert edges.order == [1]
    assert journal.submit(updates.dead_letters).result(10) == []


def test_an_end_that_was_asked_for_is_no_death(journal: Journal) -> None:
    edges = Edges()
    edges.delay_s = 5.0
    put(journal, 1)

    async def scenario() -> None:
        async with working(journal, edges):
            await asyncio.sleep(0.2)

    for _ in range(3):
        asyncio.run(scenario())
    [row] = journal.submit(partial(updates.waiting, above=None, limit=1)).result(10)
    assert row.starts == 0


def test_one_that_comes_late_while_a_later_one_fails_is_not_forgotten(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.bot.worker.pause_s_after", lambda _: 0.05)
    edges = Edges()
    edges.delay_s = 0.3
    edges.fail[10] = [RuntimeError("once")]
    put(journal, 10)

    async def scenario() -> None:
        async with working(journal, edges) as worker:
            while not edges.looking:
                await asyncio.sleep(0.01)
            put(journal, 5)
            worker.notify(5)
            await idle(worker, journal, within_s=5)

    asyncio.run(scenario())
    assert sorted(edges.order) == [5, 10]
