"""Every method that is imitated: its name, its arguments, and who carries it out.

Owns the table. Names are compared without regard to case, as by the real server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from doggo.telegram_sim import arguments as take
from doggo.telegram_sim import asking, editing, profile, sending
from doggo.telegram_sim.arguments import Arguments
from doggo.telegram_sim.inputs import InputFile
from doggo.telegram_sim.objects import File
from doggo.telegram_sim.parts import Parts
from doggo.telegram_sim.refusal import ApiError, bad_request, too_many, unreadable

MOST_DOWNLOAD_BYTES = 20 << 20
"""MAX_DOWNLOAD_FILE_SIZE of the real server."""

_CLOSABLE_AFTER_S = 600

_A = TypeVar("_A", bound=Arguments)
Files = dict[str, InputFile]


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the API.

    Attributes:
        limited: counts against the limits on sending.
    """

    name: str
    arguments: type[Arguments]
    carry_out: Callable[[Parts, Any, Files], object]
    limited: bool = False


METHODS: dict[str, Method] = {}


def find(name: str) -> Method:
    """Return a method by its name.

    Raises:
        ApiError: 404, there is none or it is not imitated.
    """
    try:
        return METHODS[name.lower()]
    except KeyError:
        raise ApiError(404, "Not Found: method not found") from None


def parse(model: type[_A], given: Mapping[str, object]) -> _A:
    """Return arguments in their types.

    Raises:
        ApiError: 400, about the first that does not fit.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise unreadable(error) from error


def _add(
    name: str,
    model: type[_A],
    carry_out: Callable[[Parts, _A, Files], object],
    *,
    limited: bool = False,
) -> None:
    METHODS[name.lower()] = Method(name, model, carry_out, limited)


def _wait(_: Parts, wanted: take.GetUpdates, __: Files) -> object:
    raise ApiError(400, "Bad Request: getUpdates is no method for an answer to a webhook")


def _get_file(parts: Parts, wanted: take.GetFile, _: Files) -> File:
    stored = parts.state.files.get(wanted.file_id)
    if stored is None:
        raise bad_request("wrong file_id or the file is temporarily unavailable")
    if stored.size_bytes > MOST_DOWNLOAD_BYTES:
        raise bad_request("file is too big")
    return {
        "file_id": stored.file_id,
        "file_unique_id": stored.unique_id,
        "file_size": stored.size_bytes,
        "file_path": stored.path,
    }


def _close(parts: Parts, wanted: take.Nothing, _: Files) -> bool:
    left_s = int(_CLOSABLE_AFTER_S - (parts.clock() - parts.started_at))
    if left_s > 0:
        raise too_many(left_s)
    return True


_add("getUpdates", take.GetUpdates, _wait)
_add("getMe", take.Nothing, lambda parts, args, _: parts.state.bot)
_add("close", take.Nothing, _close)
_add("logOut", take.Nothing, lambda parts, args, _: True)
_add("getFile", take.GetFile, _get_file)
_add("setWebhook", take.SetWebhook, lambda parts, args, _: parts.hooks.set(args))
_add("deleteWebhook", take.DeleteWebhook, lambda parts, args, _: parts.hooks.delete(args))
_add("getWebhookInfo", take.Nothing, lambda parts, args, _: parts.hooks.info())
_add(
    "sendMessage",
    take.SendMessage,
    lambda parts, args, _: sending.send_message(parts.state, parts.events, args),
    limited=True,
)
_add(
    "sendPhoto",
    take.SendPhoto,
    lambda parts, args, _: sending.send_photo(parts.state, parts.events, args),
    limited=True,
)
_add(
    "sendChatAction",
    take.SendChatAction,
    lambda parts, args, _: sending.send_chat_action(parts.state, parts.events, args),
)
_add(
    "editMessageText",
    take.EditMessageText,
    lambda parts, args, _: editing.edit_text(parts.state, parts.events, args),
    limited=True,
)
_add(
    "editMessageCaption",
    take.EditMessageCaption,
    lambda parts, args, _: editing.edit_caption(parts.state, parts.events, args),
    limited=True,
)
_add(
    "editMessageMedia",
    take.EditMessageMedia,
    lambda parts, args, files: editing.edit_media(parts.state, parts.events, args, files),
    limited=True,
)
_add(
    "editMessageReplyMarkup",
    take.EditMessageReplyMarkup,
    lambda parts, args, _: editing.edit_buttons(parts.state, parts.events, args),
    limited=True,
)
_add(
    "deleteMessage",
    take.DeleteMessage,
    lambda parts, args, _: editing.delete_message(parts.state, parts.events, args),
)
_add(
    "answerCallbackQuery",
    take.AnswerCallbackQuery,
    lambda parts, args, _: asking.answer_tap(parts.state, parts.events, args),
)
_add(
    "answerInlineQuery",
    take.AnswerInlineQuery,
    lambda parts, args, _: asking.answer_inline(parts.state, parts.events, args),
)
_add(
    "setMyCommands",
    take.SetMyCommands,
    lambda parts, args, _: profile.set_commands(parts.state, parts.events, args),
)
_add(
    "getMyCommands",
    take.GetMyCommands,
    lambda parts, args, _: profile.get_commands(parts.state, args),
)
_add(
    "deleteMyCommands",
    take.DeleteMyCommands,
    lambda parts, args, _: profile.delete_commands(parts.state, parts.events, args),
)
_add(
    "setMyDescription",
    take.SetMyDescription,
    lambda parts, args, _: profile.set_description(
        parts.state, "description", args.description, args.language_code, profile.MOST_DESCRIPTION
    ),
)
_add(
    "getMyDescription",
    take.GetMyDescription,
    lambda parts, args, _: {
        "description": profile.get_description(parts.state, "description", args.language_code)
    },
)
_add(
    "setMyShortDescription",
    take.SetMyShortDescription,
    lambda parts, args, _: profile.set_description(
        parts.state,
        "short_description",
        args.short_description,
        args.language_code,
        profile.MOST_SHORT_DESCRIPTION,
    ),
)
_add(
    "getMyShortDescription",
    take.GetMyShortDescription,
    lambda parts, args, _: {
        "short_description": profile.get_description(
            parts.state, "short_description", args.language_code
        )
    },
)

GET_UPDATES = METHODS["getupdates"]
"""The only one that waits: `Telegram.answer` carries it out."""
