"""The checks of the checks: a wrong call must not pass."""

from __future__ import annotations

import pytest
from tests.bot.bot_api import SPEC, check, plain

from doggo.core.chat import JsonValue, Method, Reply


def _message(**changed: JsonValue) -> Reply:
    arguments: dict[str, JsonValue] = {"chat_id": 1, "text": "hello", "parse_mode": "HTML"}
    return Reply(method=Method.SEND_MESSAGE, chat_id=1, arguments=arguments | changed)


def _keyboard(**button: JsonValue) -> dict[str, JsonValue]:
    return {"inline_keyboard": [[{"text": "a", **button}]]}


def test_a_plain_message_passes() -> None:
    check(_message())


@pytest.mark.parametrize(
    "changed",
    [
        {"text": ""},
        {"text": "a" * 4097},
        {"text": "🐾" * 2049},
        {"text": "<b>a"},
        {"text": "\ud83d"},
        {"chat_id": 2},
        {"reply_markup": _keyboard()},
        {"reply_markup": _keyboard(callback_data="é" * 33)},
        {"reply_markup": _keyboard(callback_data="a", url="https://t.me/a")},
        {"reply_markup": {"inline_keyboard": []}},
    ],
)
def test_what_telegram_would_refuse_fails(changed: dict[str, JsonValue]) -> None:
    with pytest.raises((AssertionError, UnicodeEncodeError)):
        check(_message(**changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"reply_to": 1},
        {"message_thread_id": "1"},
        {"disable_notification": 1},
        {"reply_markup": {"inline_keyboard": [[{"text": "a", "callback_data": "a", "colour": 1}]]}},
        {"reply_parameters": {"allow_sending_without_reply": True}},
        {"link_preview_options": True},
    ],
)
def test_what_the_bot_api_does_not_describe_fails(changed: dict[str, JsonValue]) -> None:
    if not SPEC.exists():
        pytest.skip("../shared/telegram is not here: this check needs the Bot API's description")
    with pytest.raises(AssertionError):
        check(_message(**changed))


@pytest.mark.parametrize("html", ["a < b", "a & b", "<b>a</i>", "<h1>a</h1>", "a</b>", "&nbsp;"])
def test_html_that_telegram_cannot_parse_fails(html: str) -> None:
    with pytest.raises((AssertionError, KeyError, IndexError)):
        plain(html)


def test_html_is_read() -> None:
    assert plain("<b>a</b> &lt;1 &amp; <i>b</i>") == "a <1 & b"
