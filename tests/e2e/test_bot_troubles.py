"""Telegram's own troubles: away, slow, refusing, repeating itself, two people at once."""

from __future__ import annotations

import itertools
import random
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.bot_processes import BotProcess, Wire, add_bundle, free_port, polling, serving
from tests.rehearsing import COLOURS, CONSENT, Asked, Rehearsal, wait_for

IN_FLIGHT = 4


@dataclass(frozen=True)
class Scene:
    """A bot at work."""

    rehearsal: Rehearsal
    bot: BotProcess
    home: Path

    def asked(self) -> Asked:
        self.rehearsal.heal()
        return Asked(self.rehearsal)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A bot with a webhook, for all tests that leave it as it was."""
    home = tmp_path_factory.mktemp("troubles") / "home"
    add_bundle(home)
    with Rehearsal() as rehearsal, serving(home, rehearsal.url, free_port()) as bot:
        bot.ready()
        yield Scene(rehearsal, bot, home)
        assert bot.code is None


def sent_to(rehearsal: Rehearsal, chats: set[int]) -> dict[int, list[str]]:
    """Return the keys of what these chats got, in order, without the question for consent."""
    got = defaultdict(list)
    for one in rehearsal.sent():
        if one.chat in chats and one.key != CONSENT:
            got[one.chat].append(one.key)
    return got


def answered_exactly(asked: Asked) -> None:
    wait_for(lambda: asked.rehearsal.pending() == 0, what="the end of deliveries")
    assert sent_to(asked.rehearsal, set(asked.keys)) == asked.keys


def test_one_update_fifty_times_at_once_is_answered_once(scene: Scene) -> None:
    asked = scene.asked()
    (chat,) = scene.rehearsal.users(1)
    asked.send([(chat, "w1")])
    asked.wait()
    last = max(one["update_id"] for one in scene.rehearsal.read("deliveries"))
    scene.bot.freeze(True)
    try:
        asked.send([(chat, "red")])
        scene.rehearsal.do([{"do": "repeat", "update_id": last + 1, "times": 49}])
    finally:
        scene.bot.freeze(False)
    asked.wait()
    wait_for(lambda: scene.rehearsal.pending() == 0)
    asked.send([(chat, "w2")])  # what would come twice would come before this
    asked.wait()
    came = [one for one in scene.rehearsal.read("deliveries") if one["update_id"] == last + 1]
    assert [one["status"] for one in came] == [200] * 50
    answered_exactly(asked)


def pairs_are_never_swapped(scene: Scene, *, pairs: int, people: int) -> None:
    """Photos, and some albums, of two people at once, while files and sends fail now and then."""
    asked, rng = scene.asked(), random.Random(3)
    chats = scene.rehearsal.users(people)
    for trouble, method in (("truncated", "download"), ("500", "getFile"), ("500", "sendMessage")):
        scene.rehearsal.fail(trouble, method=method, times=4, probability=0.1, seed=1)
    scene.rehearsal.fail("429", method="sendMessage", times=2, probability=0.05)
    order = itertools.cycle(chats)
    for number in range(pairs):
        first, second = rng.sample(sorted(COLOURS), 2)
        if number % 10 == 9:
            first, second = f"{first}+{second}", f"{second}+{first}"
        asked.send([(next(order), first), (next(order), second)])
    asked.wait()
    answered_exactly(asked)
    refused = [one["status"] for one in scene.rehearsal.calls() if one["status"] >= 429]
    print(f"{pairs} pairs, {len(refused)} calls refused meanwhile: 0 swapped")


def test_two_photos_at_once_are_never_swapped(scene: Scene) -> None:
    pairs_are_never_swapped(scene, pairs=30, people=20)


@pytest.mark.soak
def test_two_hundred_pairs_are_never_swapped(scene: Scene) -> None:
    pairs_are_never_swapped(scene, pairs=200, people=60)


def test_repeated_and_late_updates_are_answered_once_and_in_order(scene: Scene) -> None:
    asked, rng = scene.asked(), random.Random(4)
    chats = scene.rehearsal.users(40)
    scene.rehearsal.fail("duplicate", times=None, probability=0.3, seed=1)
    scene.rehearsal.fail("reorder", times=None, probability=0.1, seed=2)
    before = len(scene.rehearsal.read("deliveries"))
    asked.send((rng.choice(chats), f"w{number}") for number in range(100))
    scene.rehearsal.heal()
    asked.wait()
    wait_for(lambda: scene.rehearsal.pending() == 0)
    arrived = defaultdict(list)
    for one in scene.rehearsal.read(f"deliveries?since={before}"):
        arrived[one["chat_id"]].append(one["update_id"])
    assert sum(map(len, arrived.values())) > 110
    late = {chat for chat, numbers in arrived.items() if numbers != sorted(numbers)}
    assert 0 < len(late) < 40
    got = sent_to(scene.rehearsal, set(chats))
    for chat, keys in asked.keys.items():
        assert sorted(got[chat]) == sorted(keys)
        assert chat in late or got[chat] == keys


def test_a_pause_that_telegram_asks_for_is_kept(scene: Scene) -> None:
    asked = scene.asked()
    chats = scene.rehearsal.users(5)
    before = len(scene.rehearsal.calls("sendMessage"))
    scene.rehearsal.fail("429", method="sendMessage", retry_after_s=2)
    asked.send((chat, "w1") for chat in chats)
    asked.wait()
    answered_exactly(asked)
    calls = scene.rehearsal.calls("sendMessage")[before:]
    refused = next(one for one in calls if one["status"] == 429)
    after = [round(one["at"] - refused["at"], 2) for one in calls if one["at"] > refused["at"]]
    later = [one for one in after if one > 0.2]  # what was in flight already may still arrive
    print(f"told to wait 2 s, the next sends came after {later} s")
    assert len(after) - len(later) < IN_FLIGHT
    assert 2.0 <= later[0] < 3.0


def test_who_blocks_the_bot_is_left_alone_until_they_come_back(scene: Scene) -> None:
    asked = scene.asked()
    (chat,) = scene.rehearsal.users(1)
    asked.send([(chat, "red")])
    asked.wait()
    scene.rehearsal.fail("403", method="sendMessage", chat=chat, times=None)
    scene.rehearsal.do([scene.rehearsal.says(chat, f"w{number}") for number in range(1, 9)])
    wait_for(lambda: scene.rehearsal.pending() == 0)
    wait_for(lambda: unfinished(scene.home) == 0)
    assert blocked(scene.home) == 1
    refused = [
        one
        for one in scene.rehearsal.calls("sendMessage")
        if one["chat_id"] == chat and one["status"] == 403
    ]
    assert 1 <= len(refused) <= 8
    scene.rehearsal.heal()
    turn = {"user": chat, "chat": chat}
    scene.rehearsal.do([{"do": "block", **turn}, {"do": "unblock", **turn}])
    asked.send([(chat, "w9")])
    asked.wait()
    answered_exactly(asked)
    assert blocked(scene.home) == 0


def blocked(home: Path) -> int:
    return _count(home, "SELECT count(*) FROM people WHERE blocked")


def unfinished(home: Path) -> int:
    return _count(home, "SELECT count(*) FROM updates WHERE state != 'done'")


def _count(home: Path, query: str) -> int:
    with sqlite3.connect(home / "bot.db") as database:
        found = int(database.execute(query).fetchone()[0])
    database.close()
    return found


def test_a_telegram_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """Not there at the start, standing still, answering 500, and gone; each for some seconds."""
    home = tmp_path / "home"
    add_bundle(home)
    with Rehearsal() as rehearsal, Wire(rehearsal.url) as wire:
        asked = Asked(rehearsal)
        chats = rehearsal.users(15)
        words = itertools.count(1)
        wire.cut()
        with polling(home, wire.url) as bot:
            wait_for(lambda: "cannot_reach_telegram" in bot.said(), what="a first failure")
            wire.join()
            bot.ready()

            def everybody() -> Iterator[tuple[int, str]]:
                return ((chat, f"w{next(words)}") for chat in chats)

            asked.send((chat, "red") for chat in chats)
            time.sleep(0.3)
            rehearsal.freeze(True)
            time.sleep(2)
            rehearsal.freeze(False)
            asked.wait()

            before = len(rehearsal.calls())
            rehearsal.fail("500", times=None)
            rehearsal.fail("500", method="getUpdates", times=None)
            asked.send(everybody())
            time.sleep(2)
            failed = [one for one in rehearsal.calls()[before:] if one["status"] == 500]
            rehearsal.heal()
            asked.wait()

            asked.send(everybody())
            time.sleep(0.1)
            wire.cut()
            time.sleep(2)
            wire.join()
            asked.wait()
            assert bot.code is None
            again = asked.check()
    print(f"{len(failed)} calls failed in 2 s, {len(again)} sent twice")
    assert 1 <= len(failed) < 3 * len(chats)
    assert len(again) <= IN_FLIGHT  # their answers were lost with the wire
