"""Which chat and message a call of the bot is about, and whether the bot may.

Owns the refusals for chats that are unknown, blocked or not begun, in Telegram's words.
"""

from __future__ import annotations

from doggo.telegram_sim.inputs import ReplyParameters
from doggo.telegram_sim.objects import Message
from doggo.telegram_sim.records import Presence, Room
from doggo.telegram_sim.refusal import bad_request, forbidden
from doggo.telegram_sim.state import State, quoted


def room_of(state: State, chat_id: int | str) -> Room:
    """Return the chat that the bot may write to.

    Raises:
        ApiError: 400 if there is none, 403 if the bot may not.
    """
    if chat_id == "":
        raise bad_request("chat_id is empty")
    room = state.rooms.get(chat_id) if isinstance(chat_id, int) else None
    if room is None:
        raise bad_request("chat not found")
    if room.presence is Presence.MEMBER:
        return room
    if not room.is_private:
        raise forbidden(f"bot was kicked from the {room.face['type']} chat")
    if room.presence is Presence.UNMET:
        raise forbidden("bot can't initiate conversation with a user")
    raise forbidden("bot was blocked by the user")


def replied_message(room: Room, wanted: ReplyParameters | None) -> Message | None:
    """Return the message that a new one replies to, without what it quotes itself.

    Raises:
        ApiError: it is not there, and the bot did not allow to do without.
    """
    if wanted is None:
        return None
    other_chat = wanted.get("chat_id", room.face["id"]) != room.face["id"]
    message = None if other_chat else room.messages.get(wanted["message_id"])
    if message is not None:
        return quoted(message)
    if wanted.get("allow_sending_without_reply", False):
        return None
    raise bad_request("message to be replied not found")


def own_message(
    state: State, chat_id: int | str | None, message_id: int | None, inline_id: str | None
) -> Message:
    """Return the message that the bot wants to edit: one of its own, or sent through it.

    Raises:
        ApiError: it is not named, not there, or somebody else's.
    """
    if inline_id is not None:
        place = state.inline_messages.get(inline_id)
        if place is None:
            raise bad_request("MESSAGE_ID_INVALID")
        return state.rooms[place[0]].messages[place[1]]
    if message_id is None:
        raise bad_request("message identifier is not specified")
    room = room_of(state, "" if chat_id is None else chat_id)
    message = room.messages.get(message_id)
    if message is None:
        raise bad_request("message to edit not found")
    if message["from"]["id"] != state.bot["id"]:
        raise bad_request("message can't be edited")
    return message
