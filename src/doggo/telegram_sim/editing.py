"""What the bot changes: editMessageText, -Caption, -Media, -ReplyMarkup, deleteMessage.

Owns the edits and Telegram's refusals of them. An edit answers the message, or true for one that
was sent through the bot.
"""

from __future__ import annotations

from doggo.telegram_sim.arguments import (
    DeleteMessage,
    Editing,
    EditMessageCaption,
    EditMessageMedia,
    EditMessageReplyMarkup,
    EditMessageText,
)
from doggo.telegram_sim.events import Events
from doggo.telegram_sim.inputs import InputFile
from doggo.telegram_sim.markup import inline_keyboard
from doggo.telegram_sim.objects import Message
from doggo.telegram_sim.refusal import bad_request
from doggo.telegram_sim.rooms import own_message, room_of
from doggo.telegram_sim.sending import caption_of, put_photo, text_of
from doggo.telegram_sim.state import State

DELETABLE_FOR_S = 48 * 3600

_NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)


def edit_text(state: State, events: Events, wanted: EditMessageText) -> Message | bool:
    """Put another text into a message."""
    message = _message(state, wanted)
    if "text" not in message:
        raise bad_request("there is no text in the message to edit")
    changed = message.copy()
    text, entities = text_of(wanted.text, wanted.parse_mode, wanted.entities)
    changed["text"] = text
    changed.pop("entities", None)
    if entities:
        changed["entities"] = entities
    if wanted.link_preview_options is not None:
        changed["link_preview_options"] = wanted.link_preview_options
    return _finish(state, events, message, changed, wanted)


def edit_caption(state: State, events: Events, wanted: EditMessageCaption) -> Message | bool:
    """Put another caption under a photo; an empty one takes it away."""
    message = _message(state, wanted)
    if "photo" not in message:
        raise bad_request("there is no caption in the message to edit")
    changed = message.copy()
    _caption(changed, wanted)
    return _finish(state, events, message, changed, wanted)


def edit_media(
    state: State, events: Events, wanted: EditMessageMedia, files: dict[str, InputFile]
) -> Message | bool:
    """Put another photo into a message.

    Args:
        files: that came with the request, for `attach://NAME`.
    """
    message = _message(state, wanted)
    media = wanted.media
    if media["type"] != "photo":
        raise bad_request(f"the simulator does not imitate media of type {media['type']}")
    name = media["media"].removeprefix("attach://")
    photo = files.get(name) if media["media"].startswith("attach://") else media["media"]
    if photo is None:
        raise bad_request("media not found")
    changed = message.copy()
    for part in ("text", "entities", "link_preview_options"):
        changed.pop(part, None)  # type: ignore[misc]
    put_photo(state, changed, photo)
    described = EditMessageCaption(
        caption=media.get("caption", ""),
        parse_mode=media.get("parse_mode", ""),
        caption_entities=media.get("caption_entities"),
    )
    _caption(changed, described)
    return _finish(state, events, message, changed, wanted)


def edit_buttons(state: State, events: Events, wanted: EditMessageReplyMarkup) -> Message | bool:
    """Put other buttons under a message, or none."""
    message = _message(state, wanted)
    return _finish(state, events, message, message.copy(), wanted)


def delete_message(state: State, events: Events, wanted: DeleteMessage) -> bool:
    """Take a message away: the bot's own, or a user's in a private chat, for 48 hours."""
    room = room_of(state, wanted.chat_id)
    message = room.messages.get(wanted.message_id)
    if message is None:
        raise bad_request("message to delete not found")
    strange = message["from"]["id"] != state.bot["id"] and not room.is_private
    if strange or state.now() - message["date"] > DELETABLE_FOR_S:
        raise bad_request("message can't be deleted")
    del room.messages[wanted.message_id]
    events.tell("deleted", chat_id=room.face["id"], message_id=wanted.message_id)
    return True


def _message(state: State, wanted: Editing) -> Message:
    if wanted.business_connection_id is not None:
        raise bad_request("business connection not found")
    return own_message(state, wanted.chat_id, wanted.message_id, wanted.inline_message_id)


def _caption(changed: Message, wanted: EditMessageCaption) -> None:
    caption, entities = caption_of(wanted.caption, wanted.parse_mode, wanted.caption_entities)
    for part in ("caption", "caption_entities", "show_caption_above_media"):
        changed.pop(part, None)  # type: ignore[misc]
    if caption:
        changed["caption"] = caption
        if entities:
            changed["caption_entities"] = entities
        if wanted.show_caption_above_media:
            changed["show_caption_above_media"] = True


def _finish(
    state: State, events: Events, message: Message, changed: Message, wanted: Editing
) -> Message | bool:
    changed.pop("reply_markup", None)
    if (buttons := inline_keyboard(wanted.reply_markup)) is not None:
        changed["reply_markup"] = buttons
    if changed == message:
        raise bad_request(_NOT_MODIFIED)
    changed["edit_date"] = state.now()
    state.keep(changed)
    events.tell("edited", message=changed)
    return True if wanted.inline_message_id is not None else changed
