"""What the Bot API says when it refuses: status, words and when to come back.

Owns the error, its JSON and how a failed validation reads in the real server's words. The words
are those of tdlib/telegram-bot-api, Client.cpp; what the simulator alone refuses says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import ValidationError

from doggo.telegram_sim.objects import JsonObject

_TYPES = {
    "string_type": "String",
    "int_type": "Number",
    "int_parsing": "Number",
    "int_from_float": "Number",
    "bool_type": "Boolean",
    "bool_parsing": "Boolean",
    "list_type": "Array",
    "dict_type": "Object",
}
_EMPTY = {
    "chat_id": "chat_id is empty",
    "text": "message text is empty",
    "file_id": "file_id not specified",
    "photo": "there is no photo in the request",
    "message_id": "message identifier is not specified",
}
_PARSED = {
    "reply_markup": ("reply keyboard markup JSON object", "inline keyboard button"),
    "reply_parameters": ("reply parameters JSON object", "reply parameters"),
    "entities": ("entities JSON object", "MessageEntity"),
    "caption_entities": ("entities JSON object", "MessageEntity"),
    "commands": ("commands JSON object", "BotCommand"),
    "scope": ("BotCommandScope JSON object", "BotCommandScope"),
    "results": ("JSON encoded inline query results", "inline query result"),
    "media": ("input media JSON object", "InputMedia"),
    "link_preview_options": ("link preview options JSON object", "link preview options"),
}


class ApiError(Exception):
    """A call that is refused.

    Attributes:
        status: of the HTTP answer, `error_code` in its body.
        description: begins with the status in words, as the real server's.
        retry_after_s: seconds the caller must wait; None if that is no matter of waiting.
    """

    def __init__(self, status: int, description: str, retry_after_s: int | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.retry_after_s = retry_after_s

    def json(self) -> JsonObject:
        """Return the body of the answer."""
        body: JsonObject = {
            "ok": False,
            "error_code": self.status,
            "description": self.description,
        }
        if self.retry_after_s is not None:
            body["parameters"] = {"retry_after": self.retry_after_s}
        return body


def bad_request(words: str) -> ApiError:
    """Return a 400; the first letter is lowered as the real server does."""
    first, second = words[:1], words[1:2]
    shouted = second == "_" or second.isupper()
    return ApiError(400, f"Bad Request: {first if shouted else first.lower()}{words[1:]}")


def forbidden(words: str) -> ApiError:
    """Return a 403."""
    return ApiError(403, f"Forbidden: {words}")


def too_many(retry_after_s: int) -> ApiError:
    """Return a 429."""
    words = f"Too Many Requests: retry after {retry_after_s}"
    return ApiError(429, words, retry_after_s=retry_after_s)


def unreadable(error: ValidationError) -> ApiError:
    """Return the 400 for arguments that do not fit their types: the first thing that is wrong."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where, kind = first["loc"], first["type"]
    argument = str(where[0]) if where else ""
    if first["msg"].endswith("not imitated"):
        return bad_request(f'the simulator does not imitate "{where[-1]}" of this kind')
    if len(where) == 1:
        return bad_request(_of_argument(argument, kind, first["msg"]))
    whole, part = _PARSED.get(argument, (f"{argument} JSON object", argument))
    wrong = _of_field(_field(where), kind)
    if argument == "reply_markup" and len(where) == 2:
        return bad_request("object expected as reply markup")
    if argument == "reply_markup" and len(where) < 5:
        return bad_request(wrong if wrong else f"Can't parse {whole}")
    return bad_request(f"Can't parse {part}: {wrong}")


def _of_argument(argument: str, kind: str, message: str) -> str:
    if kind == "missing":
        return _EMPTY.get(argument, f'argument "{argument}" is not specified')
    if kind == "extra_forbidden":
        return f'the method has no argument "{argument}" (the real server would ignore it)'
    if message.endswith("not JSON"):
        return f"Can't parse {_PARSED.get(argument, (f'{argument} JSON object', ''))[0]}"
    if kind == "dict_type":
        return f"Object expected as {argument.replace('_', ' ')}"
    return f'argument "{argument}" must be of type {_TYPES.get(kind, "String")}'


def _of_field(field: str, kind: str) -> str:
    if kind == "missing":
        return f'Can\'t find field "{field}"'
    if kind == "extra_forbidden":
        return f'the type has no field "{field}" (the real server would ignore it)'
    return f'Field "{field}" must be of type {_TYPES.get(kind, "String")}'


def _field(where: Sequence[int | str]) -> str:
    names = [part for part in where if isinstance(part, str) and re.fullmatch(r"\w+", part)]
    return names[-1] if names else str(where[-1])
