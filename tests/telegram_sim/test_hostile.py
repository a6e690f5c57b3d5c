"""Hostile calls: whatever the arguments, the answer is the API's, never a crash."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.simulating import TOKEN

from doggo.telegram_sim.bodies import Body
from doggo.telegram_sim.inputs import InputFile
from doggo.telegram_sim.methods import METHODS, Method
from doggo.telegram_sim.telegram import Telegram

CHAT = 1001
BUTTONS = {"inline_keyboard": [[{"text": "a", "callback_data": "x"}]]}
ODD = st.sampled_from(
    [
        "",
        "\ud800",
        "x" * 5000,
        "9" * 5000,
        "-",
        "--1",
        "²",
        CHAT,
        str(CHAT),
        1,
        -1,
        2**70,
        1e400,
        True,
        "attach://photo",
        "<b>x</b>",
        "</b>",
        "HTML",
        "{}",
        "[" * 2000,
        '{"type": "chat", "chat_id": "@x"}',
        '{"type": "photo", "media": "attach://photo"}',
        '{"message_id": 1, "chat_id": "\ud800"}',
        '[{"type": "article", "id": "\ud800", "title": "t", "input_message_content": {}}]',
        '[{"command": "\ud800", "description": "d"}]',
        '[{"type": "bold", "offset": -5, "length": 99999999999}]',
        json.dumps(BUTTONS),
        "http://[::1",
    ]
)
JSON = st.recursive(
    ODD | st.none() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def fresh() -> Telegram:
    telegram = Telegram(TOKEN, enforce_limits=False)
    telegram.people.add_user("Ada", "en", CHAT)
    telegram.people.send_text(CHAT, CHAT, "/start")
    telegram.carry_out("sendMessage", {"chat_id": CHAT, "text": "so?", "reply_markup": BUTTONS})  # type: ignore[dict-item]
    telegram.people.tap(CHAT, CHAT, 2, "x")
    telegram.inline.ask(CHAT, CHAT, "b")
    return telegram


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_arguments_are_answered_or_refused(method: Method, data: st.DataObject) -> None:
    telegram = fresh()
    known = {
        "message_id": 2,
        "callback_query_id": next(iter(telegram.state.taps)),
        "inline_query_id": next(iter(telegram.state.questions)),
    }
    names = list(method.arguments.model_fields)
    arguments: dict[str, Any] = {
        name: data.draw(ODD | JSON | st.just(known.get(name, CHAT)), label=name)
        for name in names
        if data.draw(st.booleans())
    }
    if "timeout" in arguments:
        arguments["timeout"] = 0
    files = {"photo": InputFile("a", b"nonsense")} if data.draw(st.booleans()) else {}
    telegram.chat_of(arguments)
    answer = asyncio.run(telegram.answer(method.name, Body(arguments, files)))
    assert answer.status in (200, 400, 403, 409, 429)
    said = json.loads(answer.body)
    assert said["ok"] is (answer.status == 200)
    if not said["ok"]:
        assert said["error_code"] == answer.status
        assert said["description"]
