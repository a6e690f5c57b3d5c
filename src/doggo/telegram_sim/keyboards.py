"""Inline keyboards, by their names in the API: sent by the bot, shown in messages."""

from __future__ import annotations

from typing import Required, final

from pydantic import with_config
from typing_extensions import TypedDict

_exact = with_config({"extra": "forbid"})


@_exact
class WebAppInfo(TypedDict):
    url: str


@_exact
class CopyTextButton(TypedDict):
    text: str


@_exact
class LoginUrl(TypedDict, total=False):
    url: Required[str]
    forward_text: str
    bot_username: str
    request_write_access: bool


@_exact
class SwitchInlineQueryChosenChat(TypedDict, total=False):
    query: str
    allow_user_chats: bool
    allow_bot_chats: bool
    allow_group_chats: bool
    allow_channel_chats: bool


@_exact
class CallbackGame(TypedDict):
    pass


@_exact
class InlineKeyboardButton(TypedDict, total=False):
    text: Required[str]
    icon_custom_emoji_id: str
    style: str
    url: str
    callback_data: str
    web_app: WebAppInfo
    login_url: LoginUrl
    switch_inline_query: str
    switch_inline_query_current_chat: str
    switch_inline_query_chosen_chat: SwitchInlineQueryChosenChat
    copy_text: CopyTextButton
    callback_game: CallbackGame
    pay: bool


@final
@_exact
class InlineKeyboardMarkup(TypedDict):
    inline_keyboard: list[list[InlineKeyboardButton]]
