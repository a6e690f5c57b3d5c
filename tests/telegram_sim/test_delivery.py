"""The webhook: order within a chat, chats side by side, again until 2xx."""

from __future__ import annotations

import itertools
import random
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulating import Simulating, wait_for
from tests.telegram_sim.receiver import Received, Receiver, Reply

from doggo.telegram_sim.delivery import retry_delay_s


def test_updates_carry_the_secret_and_come_in_order_within_a_chat(sim: Simulating) -> None:
    with Receiver() as receiver:
        secret = "a-Secret_1"  # noqa: S105
        assert sim.call("setWebhook", url=receiver.url, secret_token=secret).json()["ok"]
        chats = [sim.start_user() for _ in range(20)]
        for number in range(10):
            for chat in chats:
                sim.telegram.people.send_text(chat, chat, str(number))
        wait_for(lambda: len(receiver.received) == 20 * 11)
        wait_for(lambda: not len(sim.telegram.backlog))
        for chat in chats:
            said = [
                one.update["message"]["text"]
                for one in receiver.received
                if one.update["message"]["chat"]["id"] == chat
            ]
            assert said == ["/start", *map(str, range(10))]
        for one in receiver.received:
            assert one.headers["x-telegram-bot-api-secret-token"] == secret
            assert one.headers["content-type"] == "application/json"
        assert len(sim.telegram.deliveries) == 20 * 11


def test_the_next_update_of_a_chat_waits_for_2xx_and_others_do_not(sim: Simulating) -> None:
    opened = threading.Event()

    def answer(got: Received) -> Reply:
        if got.update["message"]["text"] == "bad" and not opened.is_set():
            return Reply(500)
        return Reply(204)

    with Receiver(answer) as receiver:
        ada, bob = sim.start_user(), sim.start_user()
        sim.telegram.people.send_text(ada, ada, "bad")
        sim.telegram.people.send_text(ada, ada, "after")
        sim.call("setWebhook", url=receiver.url)
        sim.telegram.people.send_text(bob, bob, "free")

        def said() -> list[str]:
            return [one.update["message"]["text"] for one in receiver.received]

        wait_for(lambda: "free" in said() and said().count("bad") >= 4)
        assert "after" not in said()
        info = sim.call("getWebhookInfo").json()["result"]
        assert info["last_error_message"] == "Wrong response from the webhook: 500"
        assert info["pending_update_count"] == 2
        opened.set()
        wait_for(lambda: "after" in said())


def test_delays_double_after_an_immediate_retry(sim: Simulating) -> None:
    with Receiver(lambda _: Reply(500)) as receiver:
        sim.call("setWebhook", url=receiver.url)
        sim.start_user()
        wait_for(lambda: len(receiver.received) == 6)
        times = [one.at for one in receiver.received]
        gaps = [after - before for before, after in itertools.pairwise(times)]
        expected = [0, 0.02, 0.04, 0.08, 0.16]  # 0, 2, 4, 8, 16 s, a hundred times sooner
        assert all(gap >= want for gap, want in zip(gaps, expected, strict=True))
        assert gaps[0] < 1
        attempts = [one.attempt for one in sim.telegram.deliveries]
        assert attempts[:5] == [1, 2, 3, 4, 5]
        assert {one.status for one in sim.telegram.deliveries} == {500}


def test_retry_after_is_honoured(sim: Simulating) -> None:
    answers = iter([Reply(503, {"Retry-After": "30"}), Reply()])
    with Receiver(lambda _: next(answers)) as receiver:
        sim.call("setWebhook", url=receiver.url)
        sim.start_user()
        wait_for(lambda: len(receiver.received) == 2)
        assert receiver.received[1].at - receiver.received[0].at >= 0.3


@pytest.mark.parametrize("status", [0, 301, 404, 502])
def test_anything_but_2xx_is_sent_again(sim: Simulating, status: int) -> None:
    answers = iter([Reply(status), Reply(202)])
    with Receiver(lambda _: next(answers)) as receiver:
        sim.call("setWebhook", url=receiver.url)
        sim.start_user()
        wait_for(lambda: len(receiver.received) == 2)
        assert len(set(receiver.ids())) == 1
        wait_for(lambda: not len(sim.telegram.backlog))


def test_a_webhook_that_nobody_answers_loses_nothing(sim: Simulating) -> None:
    with Receiver() as receiver:
        url = receiver.url
    sim.call("setWebhook", url=url)  # nobody listens there any more
    sim.start_user()
    wait_for(lambda: len(sim.telegram.deliveries) >= 2)
    assert len(sim.telegram.backlog) == 1
    with Receiver() as other:
        sim.call("setWebhook", url=other.url)
        wait_for(lambda: len(other.received) == 1)


def test_an_update_expires_after_a_day() -> None:
    shift = [0.0]
    with (
        Simulating(clock=lambda: time.time() + shift[0], retry_factor=0.01) as sim,
        Receiver(lambda _: Reply(500)) as receiver,
    ):
        sim.start_user()
        shift[0] = 86_399
        sim.call("setWebhook", url=receiver.url)
        wait_for(lambda: receiver.received)
        shift[0] = 86_401
        wait_for(lambda: not len(sim.telegram.backlog))


def test_a_webhook_that_is_gone_for_a_day_is_closed() -> None:
    shift = [0.0]
    with (
        Simulating(clock=lambda: time.time() + shift[0], retry_factor=0.01) as sim,
        Receiver(lambda _: Reply(410)) as receiver,
    ):
        sim.call("setWebhook", url=receiver.url)
        sim.start_user()
        wait_for(lambda: receiver.received)
        shift[0] = 23 * 3600 + 60
        wait_for(lambda: sim.call("getWebhookInfo").json()["result"]["url"] == "")
        assert len(sim.telegram.backlog) == 1


def test_connections_are_as_many_as_allowed_and_no_more(sim: Simulating) -> None:
    inside, most = [0], [0]
    lock = threading.Lock()

    def answer(_: Received) -> Reply:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.05)
        with lock:
            inside[0] -= 1
        return Reply()

    with Receiver(answer) as receiver:
        for _ in range(12):
            sim.start_user()
        sim.call("setWebhook", url=receiver.url, max_connections=3)
        wait_for(lambda: len(receiver.received) == 12)
        assert most[0] == 3


def test_an_answer_may_call_a_method(sim: Simulating) -> None:
    def answer(got: Received) -> Reply:
        chat = got.update["message"]["chat"]["id"]
        return Reply(
            headers={"Content-Type": "application/json"},
            body=b'{"method": "sendMessage", "chat_id": %d, "text": "by return"}' % chat,
        )

    with Receiver(answer) as receiver:
        sim.call("setWebhook", url=receiver.url)
        chat = sim.start_user()
        room = sim.telegram.state.rooms[chat]
        wait_for(lambda: [m.get("text") for m in room.messages.values()] == ["/start", "by return"])


def test_taps_do_not_wait_for_messages(sim: Simulating) -> None:
    with Receiver(lambda got: Reply(500 if "message" in got.update else 200)) as receiver:
        chat = sim.start_user()
        markup = {"inline_keyboard": [[{"text": "a", "callback_data": "x"}]]}
        sent = sim.call("sendMessage", chat_id=chat, text="?", reply_markup=markup).json()
        sim.telegram.people.tap(chat, chat, sent["result"]["message_id"], "x")
        sim.call("setWebhook", url=receiver.url)
        wait_for(lambda: any("callback_query" in one.update for one in receiver.received))
        assert len(sim.telegram.backlog) == 1


def test_an_update_can_come_again_many_times_at_once(sim: Simulating) -> None:
    with Receiver() as receiver:
        sim.call("setWebhook", url=receiver.url)
        sim.start_user()
        wait_for(lambda: len(receiver.received) == 1)
        sim.telegram.backlog.repeat(receiver.ids()[0], 50)
        wait_for(lambda: len(receiver.received) == 51)
        assert len(set(receiver.ids())) == 1


def test_broken_updates_are_sent_as_they_are(sim: Simulating) -> None:
    with Receiver() as receiver:
        sim.call("setWebhook", url=receiver.url)
        for body in (b"{", b"[]", b'{"update_id": 5, "telepathy": {}}', b"\xff\xfe"):
            sim.telegram.backlog.add_raw(body)
        wait_for(lambda: len(receiver.received) == 4)
        assert [one.body for one in receiver.received][2] == b'{"update_id": 5, "telepathy": {}}'


@given(st.integers(1, 500), st.integers(0, 10_000))
def test_delays_stay_within_their_bounds(failures: int, seed: int) -> None:
    draws = random.Random(seed)
    delay = retry_delay_s(failures, 0, draws.randint)
    assert 0 <= delay <= 120
    assert delay == (0 if failures == 1 else min(delay, 2 ** (failures - 1)))
    if failures > 7:
        assert delay >= 60
    assert retry_delay_s(failures, 7, draws.randint) == 7
    assert retry_delay_s(failures, 9999, draws.randint) == 3600
