"""What goes wrong on purpose, and the limits on sending."""

from __future__ import annotations

import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulating import TOKEN, Simulating, wait_for
from tests.telegram_sim.receiver import Receiver

from doggo.telegram_sim.faults import Fault, Faults, Trouble
from doggo.telegram_sim.limits import SendLimits


def texts(sim: Simulating, chat: int) -> list[str]:
    return [message["text"] for message in sim.telegram.state.rooms[chat].messages.values()]


@pytest.mark.parametrize(
    ("trouble", "status", "words"),
    [
        (Trouble.TOO_MANY, 429, "Too Many Requests: retry after 7"),
        (Trouble.SERVER_ERROR, 500, "Internal Server Error"),
        (Trouble.FORBIDDEN, 403, "Forbidden: bot was blocked by the user"),
    ],
)
def test_a_call_is_refused_as_often_as_told(
    sim: Simulating, trouble: Trouble, status: int, words: str
) -> None:
    chat = sim.start_user()
    sim.telegram.faults.add(Fault(trouble=trouble, method="sendMessage", times=2, retry_after_s=7))
    answers = [sim.call("sendMessage", chat_id=chat, text="x") for _ in range(3)]
    assert [one.status_code for one in answers] == [status, status, 200]
    assert answers[0].json()["description"] == words
    if trouble is Trouble.TOO_MANY:
        assert answers[0].json()["parameters"] == {"retry_after": 7}
        assert answers[0].headers["retry-after"] == "7"
    assert texts(sim, chat) == ["/start", "x"]
    assert [call.status for call in sim.telegram.calls] == [status, status, 200]


def test_a_hang_does_nothing_and_a_lost_answer_did_it_all(sim: Simulating) -> None:
    chat = sim.start_user()
    sim.telegram.faults.add(Fault(trouble=Trouble.HANG, chat_id=chat, seconds=0.2))
    started = time.monotonic()
    with pytest.raises(httpx.RemoteProtocolError):
        sim.call("sendMessage", chat_id=chat, text="never")
    assert time.monotonic() - started >= 0.2
    sim.telegram.faults.add(Fault(trouble=Trouble.LOST))
    with pytest.raises(httpx.RemoteProtocolError):
        sim.call("sendMessage", chat_id=chat, text="unheard")
    sim.telegram.faults.add(Fault(trouble=Trouble.SLOW, seconds=0.2))
    assert sim.call("sendMessage", chat_id=chat, text="late").json()["ok"]
    assert texts(sim, chat) == ["/start", "unheard", "late"]
    assert [call.status for call in sim.telegram.calls] == [0, 0, 200]


def test_files_may_end_in_the_middle(sim: Simulating, jpeg: bytes) -> None:
    chat = sim.start_user()
    sent = sim.telegram.people.send_photo(chat, chat, jpeg)
    path = sim.call("getFile", file_id=sent["photo"][-1]["file_id"]).json()["result"]["file_path"]
    sim.telegram.faults.add(Fault(trouble=Trouble.TRUNCATED))
    with pytest.raises(httpx.RemoteProtocolError):
        sim.client.get(f"/file/bot{TOKEN}/{path}")
    whole = sim.client.get(f"/file/bot{TOKEN}/{path}")
    assert len(whole.content) == sent["photo"][-1]["file_size"]
    for trouble, status in ((Trouble.SERVER_ERROR, 500), (Trouble.TOO_MANY, 429)):
        sim.telegram.faults.add(Fault(trouble=trouble, method="download"))
        assert sim.client.get(f"/file/bot{TOKEN}/{path}").status_code == status


def test_updates_may_come_twice_and_out_of_order(sim: Simulating) -> None:
    with Receiver() as receiver:
        chat = sim.start_user()
        sim.call("deleteWebhook", drop_pending_updates=True)
        sim.call("setWebhook", url=receiver.url)
        sim.telegram.faults.add(Fault(trouble=Trouble.DUPLICATE))
        sim.telegram.people.send_text(chat, chat, "twice")
        sim.telegram.faults.add(Fault(trouble=Trouble.REORDER, chat_id=chat))
        for text in ("overtaken", "overtaking"):
            sim.telegram.people.send_text(chat, chat, text)
        wait_for(lambda: len(receiver.received) == 4)
        said = [one.update["message"]["text"] for one in receiver.received]
        assert said == ["twice", "twice", "overtaking", "overtaken"]
        found = receiver.ids()
        assert found[0] == found[1]
        assert found[2] > found[3]


def test_an_update_that_waits_to_be_overtaken_can_be_let_go(sim: Simulating) -> None:
    chat = sim.start_user()
    sim.telegram.faults.add(Fault(trouble=Trouble.REORDER))
    sim.telegram.people.send_text(chat, chat, "held")
    assert len(sim.telegram.backlog) == 1
    sim.telegram.backlog.release()
    assert len(sim.telegram.backlog) == 2


@given(st.floats(0, 1), st.integers(0, 1000))
def test_draws_can_be_repeated(probability: float, seed: int) -> None:
    def hits() -> list[bool]:
        faults = Faults()
        faults.add(Fault(trouble=Trouble.LOST, times=None, probability=probability, seed=seed))
        return [faults.hit("sendMessage", 1) is not None for _ in range(40)]

    first = hits()
    assert first == hits()
    assert all(first) or probability < 1
    assert not any(first) or probability > 0


def test_limits_of_chat_group_and_all() -> None:
    now = [1000.0]
    limits = SendLimits(lambda: now[0])

    def send(chat: int, *, group: bool = False) -> int:
        wait_s = limits.wait_s(chat, group=group)
        if not wait_s:
            limits.sent(chat, group=group)
        return wait_s

    assert [send(1) for _ in range(6)] == [0, 0, 0, 0, 0, 1]
    now[0] += 1
    assert (send(1), send(1)) == (0, 1)
    now[0] += 60
    assert [send(-1, group=True) for _ in range(21)] == [0] * 20 + [3]
    now[0] += 60
    assert [send(chat) for chat in range(100, 131)] == [0] * 30 + [1]
    assert limits.counts.over == {"chat": 2, "group": 1, "all": 1}
    assert limits.counts.sends == 56


def test_limits_are_told_to_the_bot_or_only_counted(sim: Simulating) -> None:
    chat = sim.start_user()
    for _ in range(8):
        assert sim.call("sendMessage", chat_id=chat, text="x").status_code == 200
    assert sim.telegram.limits.counts.over["chat"] == 3
    with Simulating() as strict:
        chat = strict.start_user()
        statuses = [
            strict.call("sendMessage", chat_id=chat, text="x").status_code for _ in range(8)
        ]
        assert statuses == [200] * 5 + [429] * 3
        edited = strict.call("editMessageText", chat_id=chat, message_id=2, text="y")
        assert edited.json()["parameters"] == {"retry_after": 1}


def test_a_refused_call_costs_nothing() -> None:
    with Simulating() as strict:
        chat = strict.start_user()
        for _ in range(10):
            assert strict.call("sendMessage", chat_id=chat, text="").status_code == 400
        assert strict.call("sendMessage", chat_id=chat, text="x").status_code == 200
