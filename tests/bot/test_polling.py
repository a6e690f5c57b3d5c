"""Fetching updates: stored before they are confirmed, conflicts told, troubles waited out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from tests.simulating import TOKEN, Simulating, wait_for

from doggo.bot.client import Client
from doggo.bot.inbox import Inbox
from doggo.bot.incoming import BotName
from doggo.bot.polling import CONFLICTS, NEWCOMER_S, Rivals, poll
from doggo.core.errors import StorageError, UsageError
from doggo.storage import updates
from doggo.storage.engine import open_chat_database
from doggo.storage.journal import Journal
from doggo.telegram_sim.faults import Fault, Trouble

ME = BotName(bot_id=424242, username="doggo_rehearsal_bot")


@pytest.fixture
def sim() -> Iterator[Simulating]:
    with Simulating() as running:
        yield running


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(open_chat_database(f"sqlite:///{tmp_path / 'bot.db'}"))
    yield opened
    opened.close()


class RefusingInbox(Inbox):
    """The database refuses the first times, as on a full disk."""

    refusals = 2

    async def take(self, raws: Sequence[object]) -> int:
        if raws and self.refusals:
            self.refusals -= 1
            raise StorageError("the disk is full")
        return await super().take(raws)


def polling(sim: Simulating, journal: Journal, until: int, kind: type[Inbox] = Inbox) -> None:
    """Poll until so many updates wait in the inbox, or an error ends it."""

    async def scenario() -> None:
        inbox = kind(journal, ME, on_new=lambda _: None)
        async with Client(TOKEN, sim.url, patience_s=5) as client:
            task = asyncio.create_task(poll(client, inbox, wait_s=1, conflict_pause_s=0.05))
            while not task.done() and journal.submit(updates.count_waiting).result(10) < until:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(scenario())


def offsets(sim: Simulating) -> list[int]:
    """Return the offsets that were asked for, without the calls that gave none."""
    asked = [call.arguments.get("offset") for call in sim.telegram.calls]
    return [int(str(one)) for one in asked if one is not None]


def test_updates_are_stored_and_then_confirmed(sim: Simulating, journal: Journal) -> None:
    user = sim.start_user()
    for n in range(5):
        sim.telegram.people.send_text(user, user, f"text {n}")
    polling(sim, journal, until=6)
    assert journal.submit(updates.count_waiting).result(10) == 6
    wait_for(lambda: not len(sim.telegram.backlog))


def test_what_could_not_be_stored_is_fetched_again(sim: Simulating, journal: Journal) -> None:
    sim.start_user()
    polling(sim, journal, until=1, kind=RefusingInbox)
    assert journal.submit(updates.count_waiting).result(10) == 1
    assert len(offsets(sim)) <= 1, "confirmed before it was stored"


@pytest.mark.parametrize("trouble", [Trouble.SERVER_ERROR, Trouble.TOO_MANY, Trouble.HANG])
def test_troubles_of_the_network_are_waited_out(
    sim: Simulating, journal: Journal, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.bot.polling.pause_s_after", lambda _: 0.01)
    fault = Fault(trouble=trouble, method="getUpdates", times=2, retry_after_s=1, seconds=0.05)
    sim.telegram.faults.add(fault)
    sim.start_user()
    polling(sim, journal, until=1)
    assert journal.submit(updates.count_waiting).result(10) == 1


def test_an_update_that_nobody_can_read_does_not_hold_up_others(
    sim: Simulating, journal: Journal
) -> None:
    sim.telegram.backlog.add_raw(b'{"update_id": 900000001, "message": 5}')
    sim.telegram.backlog.add_raw(b'{"no": "number"}')
    sim.start_user()
    polling(sim, journal, until=1)
    wait_for(lambda: not len(sim.telegram.backlog))


def test_a_webhook_that_is_set_meanwhile_ends_it_with_a_line(
    sim: Simulating, journal: Journal
) -> None:
    sim.call("setWebhook", url="https://dogs.example.org/x").raise_for_status()
    with pytest.raises(UsageError, match="webhook was set"):
        polling(sim, journal, until=1)


def test_another_poller_ends_it_with_a_line(sim: Simulating, journal: Journal) -> None:
    async def rival() -> None:
        async with Client(TOKEN, sim.url, patience_s=5) as client:
            inbox = Inbox(journal, ME, on_new=lambda _: None)
            ours = asyncio.create_task(poll(client, inbox, wait_s=5, conflict_pause_s=0.05))
            async with Client(TOKEN, sim.url, patience_s=5) as other:
                while not ours.done():
                    await asyncio.sleep(0.02)
                    await other.updates(None, 0)
            await ours

    with pytest.raises(UsageError, match="another program fetches"):
        asyncio.run(asyncio.wait_for(rival(), 20))


def test_a_conflict_that_an_ended_poll_leaves_behind_is_no_reason_to_stop(
    sim: Simulating, journal: Journal
) -> None:
    sim.start_user()

    async def scenario() -> None:
        inbox = Inbox(journal, ME, on_new=lambda _: None)
        async with Client(TOKEN, sim.url) as client, Client(TOKEN, sim.url) as other:
            task = asyncio.create_task(poll(client, inbox, wait_s=5, conflict_pause_s=0.05))
            await asyncio.sleep(0.3)
            await other.updates(None, 0)
            await asyncio.sleep(0.3)
            assert not task.done()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(scenario())


def test_a_token_that_was_revoked_ends_it_with_a_line(sim: Simulating, journal: Journal) -> None:
    sim.telegram.token = "424242:another"  # noqa: S105 - as BotFather's /revoke
    with pytest.raises(UsageError, match="TELE_API_KEY"):
        polling(sim, journal, until=1)


def gives_way_at(began_at: float, refused_at: list[float]) -> float | None:
    rivals = Rivals(began_at)
    return next((now for now in refused_at if rivals.refused(now)), None)


def test_the_newcomer_gives_way_and_who_was_there_goes_on() -> None:
    # They refuse each other in turn: who polls ends the other's waiting.
    there = [100.0 + 2 * n for n in range(CONFLICTS)]
    newcomer = [at + 1 for at in there]
    assert gives_way_at(100.0 - NEWCOMER_S, there) is None
    assert gives_way_at(100.0, newcomer) == newcomer[-1]


def test_polls_that_succeed_in_between_do_not_hide_a_rival() -> None:
    assert gives_way_at(0.0, [100.0 + 9 * n for n in range(20)]) == 100.0 + 9 * (2 * CONFLICTS - 1)


@pytest.mark.parametrize("pause_s", [31.0, 3600.0])
def test_a_refusal_now_and_then_is_none_to_end_over(pause_s: float) -> None:
    assert gives_way_at(0.0, [1.0 + pause_s * n for n in range(50)]) is None
