"""The arguments of every method that is imitated: all the API has, each with its type.

Owns the models; a test compares names, types and what is required with the machine-readable
API. What an argument must hold beyond its type is decided where the method is carried out.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from doggo.telegram_sim.inputs import (
    IN_JSON,
    BotCommandScope,
    ChatId,
    InlineQueryResult,
    InlineQueryResultsButton,
    InputFile,
    InputMediaPhoto,
    OtherPost,
    OtherRich,
    ReplyMarkup,
    ReplyParameters,
)
from doggo.telegram_sim.keyboards import InlineKeyboardMarkup
from doggo.telegram_sim.objects import BotCommand, LinkPreviewOptions, MessageEntity

Words: TypeAlias = Annotated[list[str] | None, IN_JSON]
Entities: TypeAlias = Annotated[list[MessageEntity] | None, IN_JSON]
Preview: TypeAlias = Annotated[LinkPreviewOptions | None, IN_JSON]
Markup: TypeAlias = Annotated[ReplyMarkup | None, IN_JSON]
Buttons: TypeAlias = Annotated[InlineKeyboardMarkup | None, IN_JSON]
ReplyTo: TypeAlias = Annotated[ReplyParameters | None, IN_JSON]
Scope: TypeAlias = Annotated[BotCommandScope | None, IN_JSON]


class Arguments(BaseModel):
    """What a method was called with; an argument that the API does not have is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Arguments):
    """Of methods without arguments."""


class GetUpdates(Arguments):
    offset: int = 0
    limit: int = 100
    timeout: int = 0
    allowed_updates: Words = None


class SetWebhook(Arguments):
    url: str
    certificate: InputFile | None = None
    ip_address: str | None = None
    max_connections: int = 40
    allowed_updates: Words = None
    drop_pending_updates: bool = False
    secret_token: str = Field(default="", repr=False)


class DeleteWebhook(Arguments):
    drop_pending_updates: bool = False


class _Sending(Arguments):
    business_connection_id: str | None = None
    chat_id: ChatId
    message_thread_id: int | None = None
    direct_messages_topic_id: int | None = None
    parse_mode: str = ""
    disable_notification: bool = False
    protect_content: bool = False
    allow_paid_broadcast: bool = False
    message_effect_id: str | None = None
    suggested_post_parameters: OtherPost | None = None
    reply_parameters: ReplyTo = None
    reply_markup: Markup = None


class SendMessage(_Sending):
    text: str
    entities: Entities = None
    link_preview_options: Preview = None


class SendPhoto(_Sending):
    photo: InputFile | str
    caption: str = ""
    caption_entities: Entities = None
    show_caption_above_media: bool = False
    has_spoiler: bool = False


class Editing(Arguments):
    """What every edit has: which message, and its buttons."""

    business_connection_id: str | None = None
    chat_id: ChatId | None = None
    message_id: int | None = None
    inline_message_id: str | None = None
    reply_markup: Buttons = None


class EditMessageText(Editing):
    text: str = ""
    parse_mode: str = ""
    entities: Entities = None
    link_preview_options: Preview = None
    rich_message: OtherRich | None = None


class EditMessageReplyMarkup(Editing):
    pass


class EditMessageCaption(Editing):
    caption: str = ""
    parse_mode: str = ""
    caption_entities: Entities = None
    show_caption_above_media: bool = False


class EditMessageMedia(Editing):
    media: Annotated[InputMediaPhoto, IN_JSON]


class DeleteMessage(Arguments):
    chat_id: ChatId
    message_id: int


class AnswerCallbackQuery(Arguments):
    callback_query_id: str
    text: str = ""
    show_alert: bool = False
    url: str | None = None
    cache_time: int = 0


class AnswerInlineQuery(Arguments):
    inline_query_id: str
    results: Annotated[list[InlineQueryResult], IN_JSON]
    cache_time: int = 300
    is_personal: bool = False
    next_offset: str = ""
    button: Annotated[InlineQueryResultsButton | None, IN_JSON] = None


class SendChatAction(Arguments):
    business_connection_id: str | None = None
    chat_id: ChatId
    message_thread_id: int | None = None
    action: str


class GetFile(Arguments):
    file_id: str


class SetMyCommands(Arguments):
    commands: Annotated[list[BotCommand], IN_JSON]
    scope: Scope = None
    language_code: str = ""


class GetMyCommands(Arguments):
    scope: Scope = None
    language_code: str = ""


class DeleteMyCommands(GetMyCommands):
    pass


class SetMyDescription(Arguments):
    description: str = ""
    language_code: str = ""


class SetMyShortDescription(Arguments):
    short_description: str = ""
    language_code: str = ""


class GetMyDescription(Arguments):
    language_code: str = ""


class GetMyShortDescription(GetMyDescription):
    pass
