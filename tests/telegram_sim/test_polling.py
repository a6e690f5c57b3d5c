"""getUpdates: long polling, confirming, and one poller at a time."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
from tests.simulating import Simulating, wait_for


def ids(answer: httpx.Response) -> list[int]:
    return [update["update_id"] for update in answer.json()["result"]]


def test_updates_stay_until_they_are_confirmed(sim: Simulating) -> None:
    chat = sim.start_user()
    for text in "abc":
        sim.telegram.people.send_text(chat, chat, text)
    first = ids(sim.call("getUpdates"))
    assert first == list(range(first[0], first[0] + 4))
    assert ids(sim.call("getUpdates", limit=2)) == first[:2]
    assert ids(sim.call("getUpdates", offset=first[1])) == first[1:]
    assert ids(sim.call("getUpdates", offset=-1)) == first[-1:]
    assert ids(sim.call("getUpdates", offset=first[-1] + 1)) == []
    assert len(sim.telegram.backlog) == 0


def test_a_poll_waits_for_the_next_update(sim: Simulating) -> None:
    chat = sim.start_user()
    offset = ids(sim.call("getUpdates"))[-1] + 1
    answers: list[httpx.Response] = []
    poll = threading.Thread(
        target=lambda: answers.append(sim.call("getUpdates", offset=offset, timeout=15))
    )
    started = time.monotonic()
    poll.start()
    time.sleep(0.2)
    sim.telegram.people.send_text(chat, chat, "now")
    poll.join()
    assert 0.2 <= time.monotonic() - started < 10
    assert answers[0].json()["result"][0]["message"]["text"] == "now"


def test_a_poll_in_vain_ends_after_its_time(sim: Simulating) -> None:
    started = time.monotonic()
    assert ids(sim.call("getUpdates", timeout=1)) == []
    assert time.monotonic() - started >= 1


def test_a_second_poller_terminates_the_first(sim: Simulating) -> None:
    answers: list[httpx.Response] = []
    first = threading.Thread(target=lambda: answers.append(sim.call("getUpdates", timeout=15)))
    first.start()
    wait_for(lambda: sim.telegram._polling._waiting is not None)
    assert sim.call("getUpdates").json()["ok"]
    first.join()
    said = answers[0].json()
    assert said["error_code"] == 409
    assert said["description"].startswith("Conflict: terminated by other getUpdates request")


def test_polling_and_webhooks_exclude_each_other(sim: Simulating) -> None:
    answers: list[httpx.Response] = []
    poll = threading.Thread(target=lambda: answers.append(sim.call("getUpdates", timeout=15)))
    poll.start()
    wait_for(lambda: sim.telegram._polling._waiting is not None)
    sim.call("setWebhook", url="http://127.0.0.1:9/")
    poll.join()
    assert answers[0].json()["description"] == "Conflict: terminated by setWebhook request"
    refused = sim.call("getUpdates").json()
    assert refused["error_code"] == 409
    assert refused["description"].startswith("Conflict: can't use getUpdates method while webhook")
    sim.call("deleteWebhook")
    assert sim.call("getUpdates").json()["ok"]


def test_only_allowed_kinds_are_kept(sim: Simulating) -> None:
    chat = sim.start_user()
    sim.call("getUpdates", offset=-1, allowed_updates='["inline_query"]')
    sim.telegram.people.send_text(chat, chat, "unheard")
    sim.telegram.inline.ask(chat, chat, "heard")

    def kinds() -> list[Any]:
        return [list(update)[1] for update in sim.call("getUpdates").json()["result"]]

    assert kinds() == ["message", "inline_query"]  # /start came before
    assert sim.call("getWebhookInfo").json()["result"]["allowed_updates"] == ["inline_query"]
    sim.call("getUpdates", allowed_updates=[])
    sim.telegram.people.send_text(chat, chat, "heard again")
    assert kinds() == ["message", "inline_query", "message"]


def test_updates_can_be_dropped(sim: Simulating) -> None:
    sim.start_user()
    assert sim.call("deleteWebhook", drop_pending_updates=True).json()["ok"]
    assert ids(sim.call("getUpdates")) == []


def test_an_inline_query_is_forgotten_sooner_than_a_message() -> None:
    now = [1_000_000.0]
    with Simulating(clock=lambda: now[0]) as sim:
        chat = sim.start_user()
        sim.telegram.inline.ask(chat, chat, "b")
        now[0] += 31
        assert [list(one)[1] for one in sim.call("getUpdates").json()["result"]] == ["message"]
        now[0] += 86_400
        assert ids(sim.call("getUpdates")) == []
