"""The calls of the Bot API that a turn makes, as rows for the outbox.

Owns how a reply is addressed: in a group it answers the message it belongs to and stays in its
topic, links show no preview, taps and searches are answered only while somebody waits. Knows
nothing of what is said.
"""

from __future__ import annotations

from doggo.bot.buttons import Keyboard, markup
from doggo.core.chat import ChatKind, Incoming, JsonValue, Kind, Method, Reply

TAP_LASTS_S = 15.0
"""Telegram's apps stop showing that a button works after about this long."""
SEARCH_LASTS_S = 8.0
"""The person has typed on by then; Telegram refuses late answers ("query is too old")."""

_SEARCH_CACHE_S = 5
_NO_PREVIEW: dict[str, JsonValue] = {"is_disabled": True}


def send(incoming: Incoming, text: str, keyboard: Keyboard = (), *, quote: bool = False) -> Reply:
    """Send HTML to the chat of `incoming`.

    Args:
        quote: whether to answer the very message; in groups that is always so.
    """
    arguments: dict[str, JsonValue] = {
        "chat_id": incoming.chat_id,
        "text": text,
        "parse_mode": "HTML",
        "link_preview_options": _NO_PREVIEW,
    }
    if incoming.thread_id is not None:
        arguments["message_thread_id"] = incoming.thread_id
    asked = incoming.message_id and incoming.kind != Kind.TAP
    if asked and (quote or incoming.chat_kind == ChatKind.GROUP):
        arguments["reply_parameters"] = {
            "message_id": incoming.message_id,
            "allow_sending_without_reply": True,
        }
    if keyboard:
        arguments["reply_markup"] = markup(keyboard)
    return Reply(method=Method.SEND_MESSAGE, chat_id=incoming.chat_id, arguments=arguments)


def edit_text(incoming: Incoming, text: str, keyboard: Keyboard = ()) -> Reply:
    """Replace the message whose button was tapped, its buttons included."""
    arguments: dict[str, JsonValue] = {
        "chat_id": incoming.chat_id,
        "message_id": incoming.message_id,
        "text": text,
        "parse_mode": "HTML",
        "link_preview_options": _NO_PREVIEW,
    }
    if keyboard:
        arguments["reply_markup"] = markup(keyboard)
    return Reply(method=Method.EDIT_TEXT, chat_id=incoming.chat_id, arguments=arguments)


def edit_buttons(incoming: Incoming, keyboard: Keyboard) -> Reply:
    """Replace the buttons of the message whose button was tapped."""
    return Reply(
        method=Method.EDIT_BUTTONS,
        chat_id=incoming.chat_id,
        arguments={
            "chat_id": incoming.chat_id,
            "message_id": incoming.message_id,
            "reply_markup": markup(keyboard),
        },
    )


def answer_tap(incoming: Incoming, toast: str = "") -> Reply:
    """End the waiting of a tapped button; `toast` pops up for the one who tapped."""
    arguments: dict[str, JsonValue] = {"callback_query_id": incoming.callback_id}
    if toast:
        arguments["text"] = toast
    return Reply(
        method=Method.ANSWER_TAP,
        chat_id=incoming.chat_id,
        arguments=arguments,
        lasts_s=TAP_LASTS_S,
    )


def answer_search(
    incoming: Incoming, results: list[JsonValue], hint: tuple[str, str] | None = None
) -> Reply:
    """Show what an inline query found.

    Args:
        results: InlineQueryResults.
        hint: text of a button above them, and the payload of the /start that it sends in the
            private chat.
    """
    arguments: dict[str, JsonValue] = {
        "inline_query_id": incoming.callback_id,
        "results": results,
        "is_personal": True,
        "cache_time": _SEARCH_CACHE_S,
    }
    if hint is not None:
        arguments["button"] = {"text": hint[0], "start_parameter": hint[1]}
    return Reply(
        method=Method.ANSWER_SEARCH,
        chat_id=incoming.chat_id,
        arguments=arguments,
        lasts_s=SEARCH_LASTS_S,
    )
