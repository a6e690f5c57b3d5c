"""The bot under kill -9, full disks, rivals, a Telegram that is away, and databases that go."""

from __future__ import annotations

import itertools
import random
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from tests.bot_processes import (
    COLOURS,
    Asked,
    BotProcess,
    Rehearsal,
    add_bundle,
    bundles,
    free_port,
    polling,
    repeats,
    serving,
    wait_for,
)
from tests.postgres import PostgresServer, postgres

IN_FLIGHT = 4
Start = Callable[[], BotProcess]
Way = Callable[[Path, Rehearsal], Start]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    add_bundle(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def rehearsal() -> Iterator[Rehearsal]:
    with Rehearsal() as started:
        yield started


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
        f"{kills} times kill -9, {asked.count} updates of {chats} chats, {busy} of the kills "
        f"while answers were owed: {len(asked.missing())} lost, 0 stored twice, {found.total} "
        f"replies sent twice (at most {found.most_a_life} a kill, {found.most_a_chat} a chat)"
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


def on_postgres(server: PostgresServer) -> dict[str, str]:
    """Return the settings for an empty database."""
    return {"DOGGO_BOT_DATABASE": server.new_database(f"bot_{secrets.token_hex(8)}")}


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_ten_kills_lose_and_double_nothing_on_postgresql(
    home: Path, rehearsal: Rehearsal, postgres_server: PostgresServer
) -> None:
    env, port = on_postgres(postgres_server), free_port()
    start = lambda: serving(home, rehearsal.url, port, **env)  # noqa: E731
    print(kill_again_and_again(start, rehearsal, kills=10, updates=300, chats=120, seed=4))
    with psycopg.connect(env["DOGGO_BOT_DATABASE"]) as database:
        assert database.execute(STATES).fetchall() == [("done", 300)]


def test_another_server_takes_over_and_a_database_that_restarts_is_waited_for(
    home: Path, rehearsal: Rehearsal
) -> None:
    with postgres() as server:
        env = on_postgres(server)
        asked = Asked(rehearsal)
        chats = rehearsal.users(20)
        port = free_port()
        with serving(home, rehearsal.url, free_port(), **env) as first:
            first.ready()
            with serving(home, rehearsal.url, port, **env) as second:  # the webhook is its own now
                second.ready()
                asked.send((chat, "red") for chat in chats)
                wait_for(rehearsal.sent, what="an answer")
                first.kill()
                killed_at = time.time()
                asked.send((chat, "w1") for chat in chats)
                wait_for(lambda: rehearsal.sent()[-1].at > killed_at + 0.5, what="the takeover")
                took_s = next(one.at for one in rehearsal.sent() if one.at > killed_at + 0.5)
                asked.wait()
                again = repeats(rehearsal.sent(), [killed_at])
                assert len(asked.check()) == again.total <= IN_FLIGHT

                before = len(rehearsal.read("deliveries"))
                server.stop()
                asked.send((chat, "w2") for chat in chats)
                wait_for(lambda: refusals(rehearsal, before) >= 5, what="a refusal")
                server.start()
                asked.wait()
                assert second.code is None
                assert len(asked.check()) <= again.total + IN_FLIGHT
    print(
        f"another server took over after {took_s - killed_at:.1f} s; PostgreSQL away: "
        f"{refusals(rehearsal, before)} updates refused, all answered later"
    )
    assert took_s - killed_at < 5


def refusals(rehearsal: Rehearsal, since: int = 0) -> int:
    """Return how many deliveries were refused, not counting those that found nobody."""
    return sum(one["status"] >= 500 for one in rehearsal.read(f"deliveries?since={since}"))


def fill(disk: Path) -> Path:
    """Leave not a byte; returns what to delete."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (65536, 512):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return path


def test_a_full_disk_is_waited_out(
    home: Path, rehearsal: Rehearsal, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("2m")
    asked, chats, port = Asked(rehearsal), rehearsal.users(30), free_port()
    database = f"sqlite:///{disk / 'bot.db'}"
    with serving(home, rehearsal.url, port, DOGGO_BOT_DATABASE=database) as bot:
        bot.ready()
        asked.send((chat, "w1") for chat in chats[:5])
        asked.wait()
        rehearsal.fail("slow", method="sendMessage", seconds=1.5, times=3)
        asked.send((chat, "w2") for chat in chats[:3])
        wait_for(lambda: _answered(disk, 3), what="three sends under way")
        filler = fill(disk)
        before = len(rehearsal.read("deliveries"))
        asked.send((chat, "red") for chat in chats)
        wait_for(lambda: len(_sends(rehearsal, "w2")) == 3, what="three sends")
        time.sleep(2)  # what cannot be marked as sent would be sent again by now
        refused = refusals(rehearsal, before)
        assert refused >= 10
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
        filler.unlink()
        asked.wait()
        assert asked.check() == []
        assert bot.code is None
        assert bot.terminate() == 0
    print(f"disk full: {refused} updates refused, all answered later, none twice")


def _sends(rehearsal: Rehearsal, key: str) -> list[float]:
    return [one.at for one in rehearsal.sent() if one.key == key and one.chat]


def _answered(disk: Path, updates: int) -> bool:
    database = sqlite3.connect(disk / "bot.db")
    found = database.execute("SELECT count(*) FROM replies").fetchone()[0]
    database.close()
    return bool(found == updates)


def test_of_two_that_poll_the_second_gives_way_in_one_line(
    home: Path, tmp_path: Path, rehearsal: Rehearsal
) -> None:
    asked = Asked(rehearsal)
    (chat,) = rehearsal.users(1)
    with polling(home, rehearsal.url) as first:
        first.ready()
        asked.send([(chat, "w1")])
        asked.wait()
        with polling(home, rehearsal.url) as same_home:
            assert same_home.wait() == 2
            assert is_one_line(same_home.said(), "is the bot already, with the same database")
        add_bundle(tmp_path / "elsewhere")
        with polling(tmp_path / "elsewhere", rehearsal.url) as second:
            assert second.wait() == 2
            lines = second.said().splitlines()
            assert "(Ctrl-C stops)" in lines[0]
            assert is_one_line("\n".join(lines[1:]), "another program fetches the updates")
        asked.send([(chat, "w2")])
        asked.wait()
        assert first.code is None
        assert asked.check() == []


def is_one_line(said: str, words: str) -> bool:
    lines = [line for line in said.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, said
    return words in said


def test_a_model_may_be_missing_appear_and_be_swapped(tmp_path: Path, rehearsal: Rehearsal) -> None:
    home, port = tmp_path / "home", free_port()
    asked, chats = Asked(rehearsal), rehearsal.users(30)
    with serving(home, rehearsal.url, port) as bot:
        bot.ready()
        rehearsal.do([rehearsal.says(chats[0], "red")])
        wait_for(rehearsal.sent, what="an answer")
        assert "try again later" in rehearsal.sent()[0].text
        add_bundle(home)
        wait_for(lambda: version(port) == 1, what="the first model")
        asked.send([(chats[0], "red")])
        asked.wait()

        asked.send((chat, "w1") for chat in chats)
        rehearsal.do([rehearsal.says(chat, "green") for chat in chats])
        add_bundle(home, turn=1)
        rehearsal.do([rehearsal.says(chat, "blue") for chat in chats])
        wait_for(lambda: version(port) == 2, what="the second model")
        asked.wait()
        wait_for(lambda: len(photos(rehearsal)) == 1 + 2 * len(chats), what="every answer")
        answers = {tuple(photos(rehearsal, chat)[-2:]) for chat in chats}
        assert answers <= {("green", "blue"), ("green", "red"), ("blue", "red")}  # old, old to new
        assert len(photos(rehearsal, chats[0])) == 3

        store = bundles(home)
        corrupt = add_bundle(home, promote=False)
        (store.folder(corrupt) / "model.onnx").write_bytes(b"altered")
        store.move(corrupt, why="test", actor="test")
        url = f"http://127.0.0.1:{port}/readyz"
        wait_for(lambda: httpx.get(url, trust_env=False).json()["refused"], what="the refusal")
        rehearsal.do([rehearsal.says(chats[0], "red")])
        wait_for(lambda: len(photos(rehearsal)) == 2 + 2 * len(chats), what="the last answer")
        assert photos(rehearsal)[-1] == "green"  # so the second model calls red
        assert bot.code is None


def photos(rehearsal: Rehearsal, chat: int | None = None) -> list[str]:
    """Return the colours that the first model gives these names, in order."""
    named = [one for one in rehearsal.sent() if one.key in COLOURS]
    return [one.key for one in named if chat in (None, one.chat)]


def version(port: int) -> int:
    found = httpx.get(f"http://127.0.0.1:{port}/v1/model", trust_env=False)
    return int(found.json()["version"]) if found.status_code == 200 else 0
