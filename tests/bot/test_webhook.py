"""The webhook of a real server: who is let in, and 200 only for what is on the disk."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from tests.botting import HEADER, SECRET, WEBHOOK, Served, answers, stored
from tests.serving import Serving
from tests.simulating import Simulating, wait_for
from tests.tiny_bundle import make_bundle, picture

from doggo.bot.webhook import MAX_UPDATE_BYTES
from doggo.serve.models import FixedBundle
from doggo.telegram_sim.faults import Fault, Trouble

numbers = itertools.count(500_000_000)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "colour")


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulating]:
    with Simulating() as running:
        yield running


@pytest.fixture(scope="module")
def served(
    sim: Simulating, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    made = Served(sim, tmp_path_factory.mktemp("served") / "home", bundle)
    with made.serving:
        wait_for(made.is_ready)
        yield made


def a_text(text: str = "hello", user: int = 555) -> dict[str, Any]:
    return {
        "update_id": next(numbers),
        "message": {
            "message_id": 7,
            "date": 1_700_000_000,
            "chat": {"id": user, "type": "private", "first_name": "Ada"},
            "from": {"id": user, "is_bot": False, "first_name": "Ada"},
            "text": text,
            "entities": [
                {"type": "bot_command", "offset": 0, "length": len(word)}
                for word in text.split()[:1]
                if word.startswith("/")
            ],
        },
    }


def test_the_right_secret_opens_and_the_update_is_there(served: Served) -> None:
    update = a_text()
    assert served.post(update).status_code == 200
    assert update["update_id"] in served.ids()


def test_its_answers_are_counted_under_its_route(served: Served) -> None:
    def counted() -> float:
        return served.serving.metric(f'doggo_requests_total{{route="{WEBHOOK}",status="403"}}')

    assert served.post(a_text(), "wrong").status_code == 403
    before = counted()
    assert served.post(a_text(), "wrong").status_code == 403
    assert counted() == before + 1


@pytest.mark.parametrize(
    "secret",
    ["", "wrong", SECRET[:-1], SECRET + "x", SECRET.upper(), "x" * 60_000],
)
def test_a_wrong_secret_stores_nothing(served: Served, secret: str) -> None:
    update = a_text()
    assert served.post(update, secret).status_code == 403
    assert update["update_id"] not in served.ids()


def test_no_secret_stores_nothing(served: Served) -> None:
    update = a_text()
    assert served.post(update, None).status_code == 401
    assert served.post(update, None, Authorization=f"Bearer {SECRET}").status_code == 401
    assert update["update_id"] not in served.ids()


@pytest.mark.parametrize("secret", ["é" * 20, SECRET + "é", "日本", "\x80\xff"])
def test_a_secret_beyond_ascii_is_only_wrong(served: Served, secret: str) -> None:
    update = a_text()
    headers = [(HEADER.encode(), secret.encode("utf-8"))]
    reply = served.serving.client.post(WEBHOOK, content=json.dumps(update), headers=headers)
    assert reply.status_code == 403
    assert update["update_id"] not in served.ids()


@pytest.mark.parametrize("second", [SECRET, "wrong"])
def test_two_secrets_are_one_too_many(served: Served, second: str) -> None:
    update = a_text()
    headers = [(HEADER, SECRET), (HEADER, second)]
    reply = served.serving.client.post(WEBHOOK, content=json.dumps(update), headers=headers)
    assert reply.status_code == 403
    assert update["update_id"] not in served.ids()


def test_only_posts_are_taken(served: Served) -> None:
    assert served.serving.client.get(WEBHOOK, headers={HEADER: SECRET}).status_code == 405


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b'{"update_id": 1',
        b"[" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"update_id": ' + b"9" * 5000 + b"}",
        b"update_id=1",
    ],
)
def test_what_is_no_json_is_told_and_the_server_goes_on(served: Served, body: bytes) -> None:
    before = served.ids()
    assert served.post(body).status_code == 400
    assert served.ids() == before
    assert served.post(a_text()).status_code == 200


def test_a_body_over_the_limit_is_not_read(served: Served) -> None:
    update = a_text("x" * MAX_UPDATE_BYTES)
    assert served.post(update).status_code == 413

    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    chunked = served.serving.client.post(WEBHOOK, content=endless(), headers={HEADER: SECRET})
    assert chunked.status_code == 413
    assert update["update_id"] not in served.ids()
    assert served.post(a_text("x" * 4096)).status_code == 200


@pytest.mark.parametrize(
    "body", [b"[]", b"1", b'"x"', b"null", b"{}", b'{"update_id":null}', b'{"update_id":-1}',
             b'{"update_id":1e3}', b'{"update_id":99999999999999999999}', b'{"update_id":true}']
)  # fmt: skip
def test_json_without_a_number_is_taken_and_forgotten(served: Served, body: bytes) -> None:
    before = served.ids()
    assert served.post(body).status_code == 200
    assert served.ids() == before


SAMPLES: list[dict[str, Any]] = [
    # As on core.telegram.org/bots/webhooks: no chat.type, no from.is_bot.
    {
        "message": {
            "date": 1441645532,
            "chat": {"last_name": "Test Lastname", "id": 1111111, "first_name": "Test"},
            "message_id": 1365,
            "from": {"last_name": "Test Lastname", "id": 1111111, "username": "Test"},
            "text": "/start",
        }
    },
    {
        "edited_message": {
            "date": 1441645532,
            "chat": {"id": 1111111, "type": "private"},
            "message_id": 1365,
            "from": {"id": 1111111},
            "text": "Edited text",
            "edit_date": 1441646600,
        }
    },
    {"inline_query": {"id": 134567890097, "from": {"id": 1111111}, "query": "q", "offset": ""}},
    {"callback_query": {"id": "4382bfdwdsb323b2d9", "from": {"id": 1111111}, "data": "x"}},
    {"chosen_inline_result": {"result_id": "12", "from": {"id": 1111111}, "query": "q"}},
    {"an_update_of_2030": {"with": ["new", "things"]}},
    {"message": None},
    {"message": {"chat": {"id": 1, "type": "private"}, "from": {"id": 1}, "message_id": 1,
                 "photo": "no list", "date": "yesterday"}},
    {"message": {"text": "\ud83d\x00", "chat": {"id": "x"}}},
]  # fmt: skip


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: next(iter(sample)))
def test_updates_of_every_kind_are_recorded(served: Served, sample: dict[str, Any]) -> None:
    update = {"update_id": next(numbers), **sample}
    assert served.post(update).status_code == 200
    assert update["update_id"] in served.ids()


def test_the_same_update_fifty_times_at_once_is_one_row_and_one_answer(served: Served) -> None:
    user = served.sim.telegram.people.add_user()["id"]
    served.sim.telegram.people.send_text(user, user, "hi")  # else the bot may not write to them
    update = a_text("/help", user=user)
    with ThreadPoolExecutor(50) as pool:
        replies = list(pool.map(lambda _: served.post(update).status_code, range(50)))
    assert replies == [200] * 50
    assert [row.update_id for row in stored(served.database)].count(update["update_id"]) == 1
    wait_for(lambda: answers(served.sim, user))
    later = a_text("/breed beagle", user=user)
    assert served.post(later).status_code == 200
    wait_for(lambda: len(answers(served.sim, user)) > 1)
    first, second = (one["text"] for one in answers(served.sim, user))
    assert "Beagle" in second
    assert second != first


def test_the_answer_waits_for_the_commit(served: Served) -> None:
    gate, reached = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        reached.set()
        gate.wait(20)

    event.listen(served.journal.engine, "commit", hold)  # stays: removing it while it runs fails
    try:
        update = a_text()
        with ThreadPoolExecutor(1) as pool:
            reply = pool.submit(served.post, update)
            assert reached.wait(20)
            with pytest.raises(TimeoutError):
                reply.result(0.4)
            gate.set()
            assert reply.result(20).status_code == 200
        assert update["update_id"] in served.ids()
    finally:
        gate.set()


def test_a_full_database_is_told_and_taken_up_again(served: Served) -> None:
    """SQLite's own limit on its size: the same error as a full disk."""

    def limited(pages: int) -> None:
        do = f"PRAGMA max_page_count={pages}"
        served.journal.submit(lambda c: c.exec_driver_sql(do).close()).result(10)

    limited(1)  # below what there is: nothing more is allocated
    try:
        for _ in range(300):
            update = a_text("/breed " + "beagle " * 28)
            reply = served.post(update)
            if reply.status_code != 200:
                break
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) >= 1
        assert update["update_id"] not in served.ids()
    finally:
        limited(2**30)
    assert served.post(update).status_code == 200
    assert update["update_id"] in served.ids()


def test_from_outside_only_the_webhook_answers(served: Served) -> None:
    outside = {"X-Forwarded-For": "149.154.167.220", "X-Forwarded-Proto": "https"}
    update = a_text()
    assert served.post(update, **outside).status_code == 200
    assert update["update_id"] in served.ids()
    assert served.post(update, "wrong", **outside).status_code == 403
    client = served.serving.client
    predict = client.post("/v1/predict", content=picture((1, 2, 3)), headers=outside)
    assert predict.status_code in (401, 403, 404)
    assert client.get("/metrics", headers=outside).status_code in (401, 403, 404)
    assert client.get("/healthz", headers=outside).status_code == 200


def test_the_metrics_count_kinds_and_nothing_of_people(served: Served) -> None:
    served.post(a_text("/start", user=987_654_321))
    text = served.serving.client.get("/metrics").text
    assert 'doggo_bot_updates_total{kind="command"}' in text
    assert 'doggo_bot_updates_total{kind="unknown_kind"}' in text
    assert "doggo_bot_backlog" in text
    assert "987654321" not in text


def test_before_the_bot_knows_its_name_updates_are_sent_away(bundle: Path, tmp_path: Path) -> None:
    with Simulating() as sim:
        sim.telegram.faults.add(Fault(trouble=Trouble.SERVER_ERROR, method="getMe", times=None))
        served = Served(sim, tmp_path / "home", bundle)
        with served.serving:
            update = a_text()
            reply = served.post(update)
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "2")
            assert served.post(update, "wrong").status_code == 403
            assert not served.ids()
            sim.telegram.faults.clear()
            wait_for(served.is_ready)
            assert served.post(update).status_code == 200
            assert served.ids() == {update["update_id"]}


def test_without_a_token_there_is_no_webhook(bundle: Path) -> None:
    with Serving(FixedBundle(bundle)) as serving:
        reply = serving.client.post(WEBHOOK, json=a_text(), headers={HEADER: SECRET})
    assert reply.status_code == 404


def test_telegram_brings_updates_by_itself_and_gets_answers(served: Served) -> None:
    sim = served.sim
    url = f"{served.serving.url}{WEBHOOK}"
    sim.call("setWebhook", url=url, secret_token=SECRET).raise_for_status()
    user = sim.start_user("Bo")
    wait_for(lambda: answers(sim, user))
    sim.telegram.people.send_photo(user, user, picture((20, 230, 20)))
    wait_for(lambda: any("Beagle" in one["text"] for one in answers(sim, user)))
    assert {one.status for one in sim.telegram.deliveries if one.chat_id == user} == {200}
