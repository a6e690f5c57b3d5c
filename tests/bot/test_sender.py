"""The outbox empties itself: in order, within limits, and knows what it sent when it dies."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from doggo.bot.client import CallError, Trouble
from doggo.bot.limits import Limit, Limits
from doggo.bot.sender import Sender
from doggo.core.chat import JsonValue, Method
from doggo.storage import replies, updates
from doggo.storage.engine import open_chat_database
from doggo.storage.journal import Journal
from doggo.storage.replies import NewReply, ReplyRow
from doggo.storage.updates import UpdateRow

QUICK = Limit(most=10_000, window_s=1.0, burst=100)
NO_LIMITS = Limits(overall=QUICK, private=QUICK, group=QUICK)


class Telegram:
    """The edge: takes calls, remembers them, and fails when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, str, float]] = []
        self.failures: dict[int, list[CallError]] = defaultdict(list)
        self.in_flight = self.most_in_flight = 0
        self.delay_s = 0.0
        self.gate: asyncio.Event | None = None

    async def call(self, method: Method, arguments: dict[str, JsonValue]) -> None:
        chat_id = arguments.get("chat_id", 0)
        assert isinstance(chat_id, int)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.delay_s)
            if self.failures[chat_id]:
                raise self.failures[chat_id].pop(0)
            self.sent.append((chat_id, str(arguments["text"]), time.monotonic()))
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.in_flight -= 1

    def texts(self, chat_id: int) -> list[str]:
        return [text for chat, text, _ in self.sent if chat == chat_id]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(open_chat_database(f"sqlite:///{tmp_path / 'bot.db'}"))
    yield opened
    opened.close()


def put(
    journal: Journal, chat_id: int, *texts: str, update_id: int = 1, **fields: object
) -> list[ReplyRow]:
    """Put replies into the outbox, as the turn that answers an update does."""

    def write(connection: Connection) -> list[ReplyRow]:
        now = time.time()
        row = UpdateRow(
            update_id=update_id, kind="text", chat_id=chat_id, payload={}, received_at=now
        )
        updates.store(connection, [row])
        updates.answered(connection, [update_id], now)
        values = {"method": "sendMessage", "is_group": False, "expires_at": now + 60, **fields}
        new = [
            NewReply(
                update_id=update_id,
                chat_id=chat_id,
                arguments={"chat_id": chat_id, "text": text},
                **values,  # type: ignore[arg-type]
            )
            for text in texts
        ]
        return replies.add(connection, new, now)

    return journal.submit(write).result(10)


@asynccontextmanager
async def sending(
    journal: Journal,
    telegram: Telegram,
    limits: Limits = NO_LIMITS,
    blocked: Callable[[Connection, int], None] = lambda *_: None,
    in_flight: int = 4,
) -> AsyncIterator[Sender]:
    sender = Sender(journal, telegram.call, blocked=blocked, limits=limits, in_flight=in_flight)
    await sender.load()
    task = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        if telegram.gate is not None:
            telegram.gate.set()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(0.005)


def left(journal: Journal) -> list[ReplyRow]:
    return journal.submit(partial(replies.waiting, above=0, limit=1000)).result(10)


def test_each_chat_keeps_its_order_and_nothing_is_left(journal: Journal) -> None:
    telegram = Telegram()
    telegram.delay_s = 0.002
    for n in range(10):
        for chat in range(1, 9):
            put(journal, chat, f"{n}", update_id=100 * chat + n)

    async def scenario() -> None:
        async with sending(journal, telegram) as sender:
            await until(lambda: sender.waiting == 0)

    asyncio.run(scenario())
    assert all(telegram.texts(chat) == [str(n) for n in range(10)] for chat in range(1, 9))
    assert telegram.most_in_flight == 4
    assert not left(journal)


def test_a_chat_that_must_wait_holds_up_no_other(journal: Journal) -> None:
    telegram = Telegram()
    telegram.failures[1] = [CallError(Trouble.AWAY, "ConnectError")] * 3
    put(journal, 1, "a", "b")
    put(journal, 2, "c", "d", update_id=2)

    async def scenario() -> None:
        async with sending(journal, telegram) as sender:
            await until(lambda: telegram.texts(2) == ["c", "d"])
            assert not telegram.texts(1)
            await until(lambda: sender.waiting == 0)

    asyncio.run(scenario())
    assert telegram.texts(1) == ["a", "b"]


def test_telegrams_pause_holds_for_everything(journal: Journal) -> None:
    telegram = Telegram()
    telegram.failures[1] = [CallError(Trouble.FLOOD, "", retry_after_s=1.0)]
    put(journal, 1, "a")

    async def scenario() -> float:
        async with sending(journal, telegram) as sender:
            began = time.monotonic()
            await until(lambda: not telegram.failures[1])
            sender.add(put(journal, 2, "b", update_id=2))
            await until(lambda: sender.waiting == 0)
            return telegram.sent[0][2] - began

    assert asyncio.run(scenario()) >= 0.9
    assert {chat for chat, *_ in telegram.sent} == {1, 2}


def test_who_blocked_us_is_marked_and_left_alone(journal: Journal) -> None:
    telegram, marked = Telegram(), []
    telegram.failures[1] = [CallError(Trouble.BLOCKED, "Forbidden: bot was blocked by the user")]
    put(journal, 1, "a", "b", "c")
    put(journal, 2, "d", update_id=2)

    async def scenario() -> None:
        blocked = lambda _, chat_id: marked.append(chat_id)  # noqa: E731
        async with sending(journal, telegram, blocked=blocked) as sender:
            await until(lambda: sender.waiting == 0)

    asyncio.run(scenario())
    assert marked == [1]
    assert [text for _, text, _ in telegram.sent] == ["d"]
    assert not left(journal)


def test_a_group_that_moved_is_followed(journal: Journal) -> None:
    telegram = Telegram()
    moved = CallError(Trouble.MOVED, "moved", new_chat_id=-1009)
    telegram.failures[-9] = [moved]
    put(journal, -9, "a", "b", is_group=True)

    async def scenario() -> None:
        async with sending(journal, telegram):
            await until(lambda: telegram.texts(-1009) == ["a", "b"])

    asyncio.run(scenario())
    assert not left(journal)


def test_what_can_never_be_sent_is_given_up_and_the_rest_goes_on(journal: Journal) -> None:
    telegram = Telegram()
    telegram.failures[1] = [CallError(Trouble.REFUSED, "Bad Request: can't parse entities")]
    put(journal, 1, "bad", "good")

    async def scenario() -> None:
        async with sending(journal, telegram) as sender:
            await until(lambda: sender.waiting == 0)

    asyncio.run(scenario())
    assert telegram.texts(1) == ["good"]
    [letter] = journal.submit(updates.dead_letters).result(10)
    assert "can't parse entities" in letter.error


def test_an_answer_that_nobody_waits_for_any_more_is_not_sent(journal: Journal) -> None:
    telegram = Telegram()
    put(journal, 1, "late", method="answerCallbackQuery", expires_at=time.time() - 1)

    async def scenario() -> None:
        async with sending(journal, telegram) as sender:
            await until(lambda: sender.waiting == 0)

    asyncio.run(scenario())
    assert not telegram.sent
    assert not left(journal)


def test_the_limits_hold_over_all_chats_and_taps_are_not_counted(journal: Journal) -> None:
    limits = Limits(overall=Limit(most=10, window_s=0.5, burst=2), private=QUICK, group=QUICK)
    telegram = Telegram()
    for chat in range(1, 31):
        put(journal, chat, "x", update_id=chat)
    put(journal, 99, "tap", update_id=99, method="answerCallbackQuery")

    async def scenario() -> None:
        async with sending(journal, telegram, limits) as sender:
            await until(lambda: sender.waiting == 0)

    asyncio.run(scenario())
    times = [at for chat, _, at in telegram.sent if chat != 99]
    # A few milliseconds between the decision and the call are the event loop's.
    most = max(sum(at <= other < at + 0.45 for other in times) for at in times)
    assert most <= 10
    assert 99 in [chat for chat, *_ in telegram.sent[:3]]


def test_the_disk_may_refuse_after_a_send_and_nothing_is_sent_twice(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    telegram = Telegram()
    put(journal, 1, "a", "b")
    writes = []
    real = journal.write

    async def failing(do: object) -> object:
        writes.append(do)
        if len(writes) in (3, 4):  # after the two that load
            from doggo.core.errors import StorageError

            raise StorageError("the disk is full")
        return await real(do)  # type: ignore[arg-type]

    monkeypatch.setattr(journal, "write", failing)
    monkeypatch.setattr("doggo.bot.sender._TRY_DISK_AGAIN_S", 0.01)

    async def scenario() -> None:
        async with sending(journal, telegram) as sender:
            await until(lambda: sender.waiting == 0)

    asyncio.run(scenario())
    assert telegram.texts(1) == ["a", "b"]
    assert not left(journal)


def test_a_process_that_dies_repeats_one_reply_a_chat_and_no_more_than_in_flight(
    journal: Journal,
) -> None:
    telegram = Telegram()
    for chat in range(1, 11):
        put(journal, chat, "first", "second", update_id=chat)

    async def dies() -> None:
        telegram.gate = asyncio.Event()  # Telegram has them, we never hear of it
        sender = Sender(journal, telegram.call, blocked=lambda *_: None, limits=NO_LIMITS)
        await sender.load()
        task = asyncio.create_task(sender.run())
        await until(lambda: len(telegram.sent) == 4)
        await asyncio.sleep(0.05)
        assert len(telegram.sent) == 4
        for one in asyncio.all_tasks() - {asyncio.current_task()}:
            one.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(dies())
    telegram.gate = None

    async def lives() -> None:
        async with sending(journal, telegram) as sender:
            await until(lambda: sender.waiting == 0)

    asyncio.run(lives())
    counts = Counter((chat, text) for chat, text, _ in telegram.sent)
    assert len(counts) == 20
    assert sum(counts.values()) - 20 == 4
    assert {text for (_, text), n in counts.items() if n > 1} == {"first"}


def test_a_reply_that_makes_no_call_is_given_up_and_the_next_is_sent(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.bot.sending.pause_s_after", lambda _: 0.01)
    telegram = Telegram()
    put(journal, 1, "bad", method="sendNothing", update_id=1)
    put(journal, 1, "good", update_id=2)

    async def scenario() -> None:
        async with sending(journal, telegram):
            while not telegram.texts(1):
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scenario(), 20))
    assert telegram.texts(1) == ["good"]
    [letter] = journal.submit(updates.dead_letters).result(10)
    assert (letter.update_id, letter.error) == (1, "ValueError")


def test_a_group_that_moves_gets_everything_once(journal: Journal) -> None:
    telegram = Telegram()
    telegram.failures[-1] = [CallError(Trouble.MOVED, "", new_chat_id=-2)]
    telegram.delay_s = 0.1
    put(journal, -2, "for the new one", "and another", update_id=1)
    put(journal, -1, "for the old one", "and more", update_id=2)

    async def scenario() -> None:
        async with sending(journal, telegram) as sender:
            while sender.waiting:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scenario(), 20))
    sent = telegram.texts(-2)
    assert sorted(sent) == ["and another", "and more", "for the new one", "for the old one"]
    assert sent.index("for the old one") < sent.index("and more")
