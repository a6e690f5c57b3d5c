"""Buttons under a message: what Telegram takes and what it refuses.

Owns the limits on inline keyboards (core.telegram.org/bots/api#inlinekeyboardbutton).
"""

from __future__ import annotations

from doggo.telegram_sim.inputs import Markup
from doggo.telegram_sim.keyboards import InlineKeyboardButton, InlineKeyboardMarkup
from doggo.telegram_sim.objects import Message
from doggo.telegram_sim.refusal import bad_request

MOST_BUTTONS = 100
MOST_DATA_BYTES = 64

_ACTIONS = (
    "url",
    "callback_data",
    "web_app",
    "login_url",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "copy_text",
    "callback_game",
    "pay",
)


def inline_keyboard(markup: Markup | None) -> InlineKeyboardMarkup | None:
    """Return the inline keyboard that a message keeps; None if there is no button in it.

    Raises:
        ApiError: a button does nothing or two things, or its data is too long.
    """
    if markup is None or "inline_keyboard" not in markup:
        return None
    rows = [row for row in markup["inline_keyboard"] if row]
    if sum(len(row) for row in rows) > MOST_BUTTONS:
        raise bad_request("reply markup is too long")
    for row in rows:
        for button in row:
            _check(button)
    return {"inline_keyboard": rows} if rows else None


def offered(message: Message) -> set[str]:
    """Return the data of the buttons under a message."""
    rows = message["reply_markup"]["inline_keyboard"] if "reply_markup" in message else []
    return {button["callback_data"] for row in rows for button in row if "callback_data" in button}


def _check(button: InlineKeyboardButton) -> None:
    if not button["text"].strip():
        raise bad_request("BUTTON_TEXT_INVALID")
    actions = [action for action in _ACTIONS if action in button]
    if not actions:
        raise bad_request(
            "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"
        )
    if len(actions) > 1:
        raise bad_request(f"an inline button does one thing, not {' and '.join(actions)}")
    data = button.get("callback_data")
    if data is not None and not 1 <= len(data.encode(errors="surrogatepass")) <= MOST_DATA_BYTES:
        raise bad_request("BUTTON_DATA_INVALID")
    url = button.get("url")
    if url is not None and not url.lower().startswith(("http://", "https://", "tg://")):
        raise bad_request("BUTTON_URL_INVALID")
