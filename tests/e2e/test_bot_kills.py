"""The bot under kill -9, over and over: nothing lost, hardly anything sent twice."""

from __future__ import annotations

import itertools
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from tests.bot_processes import BotProcess, free_port, polling, serving
from tests.postgres import PostgresServer
from tests.rehearsing import COLOURS, Asked, Rehearsal, repeats, wait_for

IN_FLIGHT = 4
Start = Callable[[], BotProcess]
Way = Callable[[Path, Rehearsal], Start]


def by_webhook(home: Path, rehearsal: Rehearsal) -> Start:
    port = free_port()
    return lambda: serving(home, rehearsal.url, port)


def by_polling(home: Path, rehearsal: Rehearsal) -> Start:
    return lambda: polling(home, rehearsal.url)


WAYS = [pytest.param(by_webhook, id="webhook"), pytest.param(by_polling, id="polling")]


def some_of_each(chats: list[int], rng: random.Random) -> Iterator[tuple[int, str]]:
    """Photos and commands of all chats, in no particular order, without end."""
    colours = {chat: rng.sample(sorted(COLOURS), 3) for chat in chats}
    for number in itertools.count():
        chat = rng.choice(chats)
        photo = colours[chat] and rng.random() < 0.5
        yield chat, (colours[chat].pop() if photo else f"w{number}")


def kill_again_and_again(
    start: Start, rehearsal: Rehearsal, *, kills: int, updates: int, chats: int, seed: int
) -> str:
    """Kill bots in the middle of answering; returns what is to be told of it."""
    rng = random.Random(seed)
    asked = Asked(rehearsal)
    said = some_of_each(rehearsal.users(chats), rng)
    share = updates // (kills + 1)
    killed_at: list[float] = []
    busy = 0
    for _ in range(kills):
        with start() as bot:
            early = rng.random() < 0.2
            asked.send(itertools.islice(said, share))
            if early:  # in the middle of its start
                time.sleep(rng.uniform(0.6, 1.4))
            else:
                bot.ready()
                time.sleep(rng.uniform(0.0, share / 30 + 0.2))
            busy += bool(asked.missing())
            bot.kill()
            killed_at.append(time.time())
    with start() as bot:
        asked.send(itertools.islice(said, updates - asked.count))
        asked.wait()
        wait_for(lambda: rehearsal.pending() == 0, what="the end of deliveries")
        assert bot.terminate() == 0
    found = repeats(rehearsal.sent(), killed_at)
    assert len(asked.check()) == found.total
    assert busy > kills // 3, "the kills came when nothing was to be done"
    assert found.most_a_chat <= 1
    assert found.most_a_life <= IN_FLIGHT
    return (
        f"{kills} times kill -9, {asked.count} updates of {chats} chats, {busy} of the kills while "
        f"answers were owed: {len(asked.missing())} lost, {len(asked.anew())} answered twice, "
        f"{found.total} replies sent twice (at most {found.most_a_life} a kill, "
        f"{found.most_a_chat} a chat)"
    )


STATES = "SELECT state, count(*) FROM updates GROUP BY state"


def check_stored_once(home: Path, asked: int) -> None:
    database = sqlite3.connect(home / "bot.db")
    assert dict(database.execute(STATES)) == {"done": asked}
    assert database.execute("SELECT count(*) FROM replies").fetchone() == (0,)
    database.close()


@pytest.mark.parametrize(
    ("way", "kills", "updates"),
    [pytest.param(by_webhook, 3, 90, id="webhook"), pytest.param(by_polling, 2, 60, id="polling")],
)
def test_five_kills_lose_and_double_nothing(
    way: Way, kills: int, updates: int, home: Path, rehearsal: Rehearsal
) -> None:
    start = way(home, rehearsal)
    print(kill_again_and_again(start, rehearsal, kills=kills, updates=updates, chats=100, seed=1))
    check_stored_once(home, updates)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("way", WAYS)
def test_fifty_kills_lose_and_double_nothing(way: Way, home: Path, rehearsal: Rehearsal) -> None:
    start = way(home, rehearsal)
    print(kill_again_and_again(start, rehearsal, kills=50, updates=1000, chats=120, seed=2))
    check_stored_once(home, 1000)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_ten_kills_lose_and_double_nothing_on_postgresql(
    home: Path, rehearsal: Rehearsal, postgres_server: PostgresServer
) -> None:
    env, port = {"DOGGO_BOT_DATABASE": postgres_server.new_database("bot_kills")}, free_port()
    start = lambda: serving(home, rehearsal.url, port, **env)  # noqa: E731
    print(kill_again_and_again(start, rehearsal, kills=10, updates=300, chats=120, seed=4))
    with psycopg.connect(env["DOGGO_BOT_DATABASE"]) as database:
        assert database.execute(STATES).fetchall() == [("done", 300)]
