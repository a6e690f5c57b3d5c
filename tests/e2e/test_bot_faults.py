"""The bot on full disks, beside rivals, with models and databases that come and go."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from tests.bot_processes import add_bundle, bundles, free_port, polling, serving
from tests.postgres import PostgresServer, postgres
from tests.rehearsing import COLOURS, Asked, Rehearsal, repeats, wait_for

from doggo.bot.polling import NEWCOMER_S

IN_FLIGHT = 4


def on_postgres(server: PostgresServer) -> dict[str, str]:
    """Return the settings for an empty database."""
    return {"DOGGO_BOT_DATABASE": server.new_database(f"bot_{secrets.token_hex(8)}")}


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
    disk = small_disk("8m")  # twice what the log grows to
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
        ready_at = time.monotonic()
        asked.send([(chat, "w1")])
        asked.wait()
        with polling(home, rehearsal.url) as same_home:
            assert same_home.wait() == 2
            assert is_one_line(same_home.said(), "is the bot already, with the same database")
        add_bundle(tmp_path / "elsewhere")
        wait_for(lambda: time.monotonic() > ready_at + NEWCOMER_S)
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
