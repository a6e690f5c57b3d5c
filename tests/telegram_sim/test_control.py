"""`/sim/`: what tests and the page ask of the simulator itself."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

import httpx
import pytest
from tests.simulating import PATIENCE_S, TOKEN, Simulating


def do(sim: Simulating, action: object) -> Any:
    answer = sim.client.post("/sim/do", json=action)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_conversation_over_http(sim: Simulating, jpeg: bytes) -> None:
    ada = do(sim, {"do": "user", "first_name": "Ada", "language_code": "ru"})["id"]
    upload = sim.client.post("/sim/uploads", content=jpeg).json()["upload"]
    here = {"chat": ada, "user": ada}
    done = do(
        sim,
        [
            {"do": "text", **here, "text": "/start"},
            {"do": "photo", **here, "upload": upload, "caption": "what?"},
            {"do": "album", **here, "uploads": [upload, upload]},
            {"do": "file", **here, "upload": upload, "name": "a.jpg", "mime_type": "image/jpeg"},
            {"do": "raw", "base64": base64.b64encode(b"[]").decode()},
        ],
    )
    assert [type(one) for one in done] == [dict, dict, list, dict, bool]
    markup = {"inline_keyboard": [[{"text": "a", "callback_data": "x"}]]}
    sent = sim.call("sendMessage", chat_id=ada, text="so?", reply_markup=markup).json()["result"]
    query = do(sim, {"do": "tap", **here, "message": sent["message_id"], "data": "x"})["query"]
    assert sim.call("answerCallbackQuery", callback_query_id=query).json()["ok"]
    do(sim, {"do": "edit", "chat": ada, "message": done[0]["message_id"], "text": "/help"})
    asked = do(sim, {"do": "inline", **here, "query": "b"})["query"]
    assert sim.client.get(f"/sim/inline/{asked}").json() is None
    group = do(sim, {"do": "group", "title": "Pack", "members": [ada]})["chat"]
    for move in ("block", "unblock"):
        do(sim, {"do": move, "user": ada})
    for move in ("expel", "admit"):
        do(sim, {"do": move, "user": ada, "chat": group})
    messages = sim.client.get(f"/sim/chats/{ada}/messages").json()
    assert [one["text"] for one in messages if "text" in one] == ["/help", "so?"]
    assert [one["chat"]["id"] for one in sim.client.get("/sim/state").json()["rooms"]] == [
        ada,
        group,
    ]
    counts = sim.client.get("/sim/counts").json()
    assert counts["calls"]["sendMessage 200"] == 1
    assert counts["pending"] == len(sim.telegram.backlog)
    [first, *_] = sim.client.get("/sim/calls").json()
    assert (first["method"], first["chat_id"], first["status"]) == ("sendMessage", ada, 200)
    assert len(sim.client.get("/sim/calls", params={"since": 1}).json()) == 1
    picture = sim.client.get(f"/sim/files/{messages[1]['photo'][0]['file_id']}")
    assert picture.headers["content-type"] == "image/jpeg"


def test_faults_and_repeats_over_http(sim: Simulating) -> None:
    chat = sim.start_user()
    update = sim.call("getUpdates").json()["result"][0]["update_id"]
    do(sim, {"do": "repeat", "update_id": update, "times": 3})
    assert sim.client.get("/sim/counts").json()["pending"] == 4
    do(sim, {"do": "fail", "trouble": "500", "method": "sendMessage", "times": None})
    assert sim.call("sendMessage", chat_id=chat, text="x").status_code == 500
    do(sim, {"do": "heal"})
    assert sim.call("sendMessage", chat_id=chat, text="x").status_code == 200
    assert [one["status"] for one in sim.client.get("/sim/deliveries").json()] == [200]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"nonsense", 422),
        (b"[]", 200),
        (b'{"do": "fly"}', 422),
        (b'{"do": "text", "chat": 1, "user": 1, "text": "x"}', 400),
        (b'{"do": "photo", "chat": 1, "user": 1, "upload": "none"}', 400),
        (b'{"do": "repeat", "update_id": 1}', 400),
        (b'{"do": "expel", "user": 1}', 400),
        (b'{"do": "choose", "query": "1", "result": "1"}', 400),
        (b'{"do": "raw", "base64": "?"}', 400),
    ],
)
def test_what_cannot_be_done_is_told(lasting_sim: Simulating, body: bytes, status: int) -> None:
    answer = lasting_sim.client.post("/sim/do", content=body)
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]


def test_files_that_are_no_pictures_are_only_saved(lasting_sim: Simulating) -> None:
    chat = lasting_sim.start_user()
    page = b"<script>alert(1)</script>"
    sent = lasting_sim.telegram.people.send_file(
        chat, chat, page, mime_type="text/html", name="a.html"
    )
    answer = lasting_sim.client.get(f"/sim/files/{sent['document']['file_id']}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/sim/state", "/sim/events", "/static/simulate.js"])
def test_other_sites_reach_nothing(
    lasting_sim: Simulating, path: str, headers: dict[str, str]
) -> None:
    assert lasting_sim.client.get(path, headers=headers).status_code == 403


def test_events_begin_with_all_there_is(sim: Simulating) -> None:
    chat = sim.start_user()
    with sim.client.stream("GET", "/sim/events") as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data: "))

        def event() -> Any:
            return json.loads(next(lines).removeprefix("data: "))

        assert event()["rooms"][0]["messages"][0]["text"] == "/start"
        sim.call("sendChatAction", chat_id=chat, action="typing")
        assert event() == {"event": "action", "chat_id": chat, "action": "typing"}
        sim.call("sendMessage", chat_id=chat, text="two\nlines \u2028")
        assert event()["message"]["text"] == "two\nlines"
        sim.telegram.people.add_user("Боб")
        assert event()["chat"]["first_name"] == "Боб"


def test_everybody_may_act_at_once(sim: Simulating) -> None:
    chats = [sim.start_user() for _ in range(8)]

    def write(chat: int) -> None:
        for number in range(50):
            sim.telegram.people.send_text(chat, chat, str(number))

    writers = [threading.Thread(target=write, args=(chat,)) for chat in chats]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    ids = [one.update_id for one in sim.telegram.backlog.take(0, 1000)]
    assert len(ids) == 8 * 51
    assert ids == sorted(set(ids))  # type: ignore[type-var]


def test_it_runs_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "doggo.telegram_sim", "--port", "0", "--token", TOKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as client:
                assert client.get(f"/bot{TOKEN}/getMe").json()["result"]["is_bot"]
                assert "rehearsal" in client.get("/").text.lower()
                with client.stream("GET", "/sim/events") as stream:
                    assert next(stream.iter_lines()).startswith("data: ")
                    os.kill(process.pid, signal.SIGTERM)  # an open page does not hold it up
                    assert process.wait(10) == 0
        finally:
            process.kill()


def test_a_port_in_use_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "doggo.telegram_sim", "--port", port],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot listen on port {port}")
