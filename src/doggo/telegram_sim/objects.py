"""The Bot API's types that this server sends, by their names in the API.

Owns shapes only. They are plain dicts, so that what is kept is what is sent; a test compares
them with the machine-readable API and validates every result with them.
"""

from __future__ import annotations

from typing import Required, TypeAlias

from pydantic import with_config
from typing_extensions import TypedDict

from doggo.telegram_sim.keyboards import InlineKeyboardMarkup

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]

_exact = with_config({"extra": "forbid"})


@_exact
class User(TypedDict, total=False):
    id: Required[int]
    is_bot: Required[bool]
    first_name: Required[str]
    last_name: str
    username: str
    language_code: str
    can_join_groups: bool
    can_read_all_group_messages: bool
    supports_inline_queries: bool
    can_connect_to_business: bool
    has_main_web_app: bool


@_exact
class Chat(TypedDict, total=False):
    id: Required[int]
    type: Required[str]
    title: str
    username: str
    first_name: str
    last_name: str


@_exact
class PhotoSize(TypedDict):
    file_id: str
    file_unique_id: str
    width: int
    height: int
    file_size: int


@_exact
class File(TypedDict, total=False):
    file_id: Required[str]
    file_unique_id: Required[str]
    file_size: int
    file_path: str


@_exact
class Document(TypedDict, total=False):
    file_id: Required[str]
    file_unique_id: Required[str]
    thumbnail: PhotoSize
    file_name: str
    mime_type: str
    file_size: int


@_exact
class Animation(TypedDict, total=False):
    file_id: Required[str]
    file_unique_id: Required[str]
    width: Required[int]
    height: Required[int]
    duration: Required[int]
    thumbnail: PhotoSize
    file_name: str
    mime_type: str
    file_size: int


@_exact
class Video(TypedDict, total=False):
    file_id: Required[str]
    file_unique_id: Required[str]
    width: Required[int]
    height: Required[int]
    duration: Required[int]
    thumbnail: PhotoSize
    file_name: str
    mime_type: str
    file_size: int


@_exact
class Voice(TypedDict, total=False):
    file_id: Required[str]
    file_unique_id: Required[str]
    duration: Required[int]
    mime_type: str
    file_size: int


@_exact
class Sticker(TypedDict, total=False):
    file_id: Required[str]
    file_unique_id: Required[str]
    type: Required[str]
    width: Required[int]
    height: Required[int]
    is_animated: Required[bool]
    is_video: Required[bool]
    thumbnail: PhotoSize
    emoji: str
    file_size: int


@_exact
class Location(TypedDict):
    latitude: float
    longitude: float


@_exact
class MessageEntity(TypedDict, total=False):
    type: Required[str]
    offset: Required[int]
    length: Required[int]
    url: str
    user: User
    language: str
    custom_emoji_id: str
    unix_time: int
    date_time_format: str


@_exact
class LinkPreviewOptions(TypedDict, total=False):
    is_disabled: bool
    url: str
    prefer_small_media: bool
    prefer_large_media: bool
    show_above_text: bool


_Sender = TypedDict("_Sender", {"from": User}, total=False)
_Asker = TypedDict("_Asker", {"from": User})


@_exact
class Message(_Sender, total=False):
    message_id: Required[int]
    date: Required[int]
    chat: Required[Chat]
    edit_date: int
    reply_to_message: Message
    via_bot: User
    media_group_id: str
    has_protected_content: bool
    text: str
    entities: list[MessageEntity]
    link_preview_options: LinkPreviewOptions
    effect_id: str
    caption: str
    caption_entities: list[MessageEntity]
    show_caption_above_media: bool
    has_media_spoiler: bool
    photo: list[PhotoSize]
    document: Document
    animation: Animation
    video: Video
    voice: Voice
    sticker: Sticker
    location: Location
    new_chat_members: list[User]
    left_chat_member: User
    reply_markup: InlineKeyboardMarkup


@_exact
class InaccessibleMessage(TypedDict):
    chat: Chat
    message_id: int
    date: int


@_exact
class CallbackQuery(_Asker, total=False):
    id: Required[str]
    message: Message | InaccessibleMessage
    inline_message_id: str
    chat_instance: Required[str]
    data: str


@_exact
class InlineQuery(_Asker, total=False):
    id: Required[str]
    query: Required[str]
    offset: Required[str]
    chat_type: str


@_exact
class ChosenInlineResult(_Asker, total=False):
    result_id: Required[str]
    inline_message_id: str
    query: Required[str]


@_exact
class ChatMemberMember(TypedDict):
    status: str
    user: User


@_exact
class ChatMemberLeft(TypedDict):
    status: str
    user: User


@_exact
class ChatMemberBanned(TypedDict):
    status: str
    user: User
    until_date: int


ChatMember: TypeAlias = ChatMemberMember | ChatMemberLeft | ChatMemberBanned


@_exact
class ChatMemberUpdated(_Asker):
    chat: Chat
    date: int
    old_chat_member: ChatMember
    new_chat_member: ChatMember


@_exact
class Update(TypedDict, total=False):
    update_id: Required[int]
    message: Message
    edited_message: Message
    callback_query: CallbackQuery
    inline_query: InlineQuery
    chosen_inline_result: ChosenInlineResult
    my_chat_member: ChatMemberUpdated


@_exact
class WebhookInfo(TypedDict, total=False):
    url: Required[str]
    has_custom_certificate: Required[bool]
    pending_update_count: Required[int]
    ip_address: str
    last_error_date: int
    last_error_message: str
    max_connections: int
    allowed_updates: list[str]


@_exact
class BotCommand(TypedDict):
    command: str
    description: str


@_exact
class BotDescription(TypedDict):
    description: str


@_exact
class BotShortDescription(TypedDict):
    short_description: str
