"""What Telegram takes: every argument of a reply is held against the Bot API.

The machine-readable description is beside the repository, in ../shared; where it is not, the
limits and the HTML are still checked.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from tests.conftest import SHARED

from doggo.core.chat import JsonValue, Method, Reply

SPEC = SHARED / "telegram" / "api.json"
TAGS = frozenset({"b", "i", "u", "s", "code", "pre"})
_BOOLEAN = frozenset({"Boolean", "True"})
_PLAIN: dict[str, type | tuple[type, ...]] = {
    "Integer": int,
    "String": str,
    "Float": (int, float),
    "Boolean": bool,
    "True": bool,
}


def check(reply: Reply) -> None:
    """Fail unless Telegram would take this call."""
    arguments = reply.arguments
    assert json.loads(json.dumps(arguments)) == arguments
    json.dumps(arguments, ensure_ascii=False).encode()  # no half of a surrogate pair
    if SPEC.exists():
        check_fields(reply.method.value, arguments, spec()["methods"][reply.method.value])
    if reply.method in (Method.SEND_MESSAGE, Method.EDIT_TEXT):
        shown = plain(str(arguments["text"]))
        assert shown.strip()
        assert utf16(shown) <= 4096
        assert arguments["parse_mode"] == "HTML"
    if reply.method == Method.ANSWER_TAP:
        assert utf16(str(arguments.get("text", ""))) <= 200
        assert reply.lasts_s is not None
    if reply.method == Method.ANSWER_SEARCH:
        check_results(arguments["results"])
        assert reply.lasts_s is not None
    if reply.method not in (Method.ANSWER_SEARCH, Method.ANSWER_TAP):
        assert arguments["chat_id"] == reply.chat_id
        assert reply.lasts_s is None
    if "reply_markup" in arguments:
        check_keyboard(arguments["reply_markup"])


def check_keyboard(markup: Any) -> None:
    rows = markup["inline_keyboard"]
    assert sum(len(row) for row in rows) <= 100
    assert rows
    assert all(1 <= len(row) <= 8 for row in rows)
    for button in (button for row in rows for button in row):
        assert 1 <= len(button["text"]) <= 64
        assert len(button.keys() - {"text"}) == 1, "a button does one thing"
        assert 1 <= len(button.get("callback_data", "-").encode()) <= 64
        assert len(button.get("switch_inline_query_current_chat", "").encode()) <= 200


def check_results(results: Any) -> None:
    assert len(results) <= 50
    assert len({result["id"] for result in results}) == len(results)
    for result in results:
        assert 1 <= len(result["id"].encode()) <= 64
        assert 1 <= utf16(result["input_message_content"]["message_text"]) <= 4096


def plain(html: str) -> str:
    """Return what is read of Telegram's HTML; fail if Telegram could not parse it."""
    opened: list[str] = []
    text = ""
    for tag, entity, other in re.findall(r"<([^<>]*)>|&(\w+);|([^<>&]|[<>&])", html):
        if tag.startswith("/"):
            assert opened.pop() == tag[1:], f"{tag} closes another tag"
        elif tag:
            assert tag in TAGS, f"<{tag}> is not Telegram's"
            opened.append(tag)
        elif entity:
            text += {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}[entity]
        else:
            assert other not in "<>&", f"{other} is not escaped"
            text += other
    assert not opened, f"{opened} are not closed"
    return text


def utf16(text: str) -> int:
    """Return the length of a text as Telegram counts it."""
    return len(text.encode("utf-16-le")) // 2


@cache
def spec() -> dict[str, Any]:
    """The Bot API's description."""
    found: dict[str, Any] = json.loads(SPEC.read_text(encoding="utf-8"))
    return found


def check_fields(where: str, values: dict[str, Any], described: dict[str, Any]) -> None:
    """Fail unless the values are the fields described: no other, none missing, each of its type."""
    fields = {field["name"]: field for field in described.get("fields", [])}
    assert values.keys() <= fields.keys(), f"{where}: {values.keys() - fields.keys()}"
    missing = {name for name, field in fields.items() if field["required"]} - values.keys()
    assert not missing, f"{where} lacks {missing}"
    for name, value in values.items():
        problems = [problem(f"{where}.{name}", value, kind) for kind in fields[name]["types"]]
        assert None in problems, problems


def problem(where: str, value: JsonValue, kind: str) -> str | None:
    """Return what is wrong with a value of a type of the description, or None."""
    if kind.startswith("Array of ") and isinstance(value, list):
        inner = kind.removeprefix("Array of ")
        return next((bad for one in value if (bad := problem(where, one, inner))), None)
    if kind in _PLAIN:
        fits = isinstance(value, _PLAIN[kind]) and isinstance(value, bool) == (kind in _BOOLEAN)
        return None if fits else f"{where} is no {kind}"
    described = spec()["types"].get(kind)
    if described is None or not isinstance(value, dict):
        return f"{where} is no {kind}"
    if subtypes := described.get("subtypes"):
        problems = [problem(where, value, subtype) for subtype in subtypes]
        return None if None in problems else str(problems)
    try:
        check_fields(where, value, described)
    except AssertionError as error:
        return str(error)
    return None
