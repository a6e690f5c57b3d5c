"""The Bot API's types that only a bot sends: parts of arguments.

Owns shapes and how an argument is read: from a form everything is text, and what is no plain
value is JSON in it. Types of the API that the rehearsal does not imitate are refused by name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Required, TypeAlias, final

from pydantic import BeforeValidator, Discriminator, Tag, with_config
from typing_extensions import TypedDict

from doggo.telegram_sim.keyboards import InlineKeyboardMarkup, WebAppInfo
from doggo.telegram_sim.objects import LinkPreviewOptions, MessageEntity

_exact = with_config({"extra": "forbid"})
_NUMBER = re.compile(r"-?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that came with the request."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotImitated:
    """Marks a type of the API whose values are refused."""

    name: str


def _refuse(value: object) -> object:
    raise ValueError("not imitated")


def _decoded(value: object) -> object:
    """Return what a form's text stands for; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None


def chat_id_of(value: object) -> object:
    """Return the number that a chat's id in a form spells; anything else as it is."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    return value


IN_JSON = BeforeValidator(_decoded)
ChatId: TypeAlias = Annotated[int | str, BeforeValidator(chat_id_of)]
Other: TypeAlias = Annotated[Any, BeforeValidator(_refuse)]
OtherPost: TypeAlias = Annotated[Other, NotImitated("SuggestedPostParameters")]
OtherRich: TypeAlias = Annotated[Other, NotImitated("InputRichMessage")]


@_exact
class KeyboardButton(TypedDict, total=False):
    text: Required[str]
    icon_custom_emoji_id: str
    style: str
    request_users: Annotated[Other, NotImitated("KeyboardButtonRequestUsers")]
    request_chat: Annotated[Other, NotImitated("KeyboardButtonRequestChat")]
    request_managed_bot: Annotated[Other, NotImitated("KeyboardButtonRequestManagedBot")]
    request_contact: bool
    request_location: bool
    request_poll: Annotated[Other, NotImitated("KeyboardButtonPollType")]
    web_app: WebAppInfo


@final
@_exact
class ReplyKeyboardMarkup(TypedDict, total=False):
    keyboard: Required[list[list[KeyboardButton]]]
    is_persistent: bool
    resize_keyboard: bool
    one_time_keyboard: bool
    input_field_placeholder: str
    selective: bool


@final
@_exact
class ReplyKeyboardRemove(TypedDict, total=False):
    remove_keyboard: Required[bool]
    selective: bool


@final
@_exact
class ForceReply(TypedDict, total=False):
    force_reply: Required[bool]
    input_field_placeholder: str
    selective: bool


def _which_markup(value: object) -> str:
    keys: dict[Any, Any] = value if isinstance(value, dict) else {}
    for key in ("keyboard", "remove_keyboard", "force_reply"):
        if key in keys:
            return key
    return "inline_keyboard"


Markup: TypeAlias = InlineKeyboardMarkup | ReplyKeyboardMarkup | ReplyKeyboardRemove | ForceReply
ReplyMarkup: TypeAlias = Annotated[
    Annotated[InlineKeyboardMarkup, Tag("inline_keyboard")]
    | Annotated[ReplyKeyboardMarkup, Tag("keyboard")]
    | Annotated[ReplyKeyboardRemove, Tag("remove_keyboard")]
    | Annotated[ForceReply, Tag("force_reply")],
    Discriminator(_which_markup),
]


@_exact
class ReplyParameters(TypedDict, total=False):
    message_id: Required[int]
    chat_id: ChatId
    allow_sending_without_reply: bool
    quote: str
    quote_parse_mode: str
    quote_entities: list[MessageEntity]
    quote_position: int
    checklist_task_id: int
    poll_option_id: str


@_exact
class InputMediaPhoto(TypedDict, total=False):
    type: Required[str]
    media: Required[str]
    caption: str
    parse_mode: str
    caption_entities: list[MessageEntity]
    show_caption_above_media: bool
    has_spoiler: bool


@_exact
class BotCommandScope(TypedDict, total=False):
    """All seven scopes of the API in one: `type` says which other members belong to it."""

    type: Required[str]
    chat_id: ChatId
    user_id: int


@_exact
class InputTextMessageContent(TypedDict, total=False):
    message_text: Required[str]
    parse_mode: str
    entities: list[MessageEntity]
    link_preview_options: LinkPreviewOptions


@final
@_exact
class InlineQueryResultArticle(TypedDict, total=False):
    type: Required[str]
    id: Required[str]
    title: Required[str]
    input_message_content: Required[InputTextMessageContent]
    reply_markup: InlineKeyboardMarkup
    url: str
    description: str
    thumbnail_url: str
    thumbnail_width: int
    thumbnail_height: int


@final
@_exact
class InlineQueryResultCachedPhoto(TypedDict, total=False):
    type: Required[str]
    id: Required[str]
    photo_file_id: Required[str]
    title: str
    description: str
    caption: str
    parse_mode: str
    caption_entities: list[MessageEntity]
    show_caption_above_media: bool
    reply_markup: InlineKeyboardMarkup
    input_message_content: InputTextMessageContent


def _which_result(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if kind in ("article", "photo") else "other"


InlineQueryResult: TypeAlias = Annotated[
    Annotated[InlineQueryResultArticle, Tag("article")]
    | Annotated[InlineQueryResultCachedPhoto, Tag("photo")]
    | Annotated[InlineQueryResultArticle, BeforeValidator(_refuse), Tag("other")],
    Discriminator(_which_result),
]


@_exact
class InlineQueryResultsButton(TypedDict, total=False):
    text: Required[str]
    web_app: WebAppInfo
    start_parameter: str
