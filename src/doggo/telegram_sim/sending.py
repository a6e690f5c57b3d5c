"""What the bot says: sendMessage, sendPhoto, sendChatAction.

Owns what a message of the bot becomes, and Telegram's refusals of it.
"""

from __future__ import annotations

from doggo.telegram_sim.arguments import SendChatAction, SendMessage, SendPhoto
from doggo.telegram_sim.events import Events
from doggo.telegram_sim.formatting import formatted, with_detected
from doggo.telegram_sim.inputs import InputFile
from doggo.telegram_sim.markup import inline_keyboard
from doggo.telegram_sim.objects import Message, MessageEntity
from doggo.telegram_sim.pictures import PictureError, Prepared, prepare
from doggo.telegram_sim.records import Room
from doggo.telegram_sim.refusal import ApiError, bad_request
from doggo.telegram_sim.rooms import replied_message, room_of
from doggo.telegram_sim.state import State

MOST_TEXT = 4096
MOST_CAPTION = 1024
MOST_PHOTO_BYTES = 10 << 20
ACTIONS = frozenset(
    {
        "typing",
        "upload_photo",
        "record_video",
        "upload_video",
        "record_voice",
        "upload_voice",
        "upload_document",
        "choose_sticker",
        "find_location",
        "record_video_note",
        "upload_video_note",
    }
)


def send_message(state: State, events: Events, wanted: SendMessage) -> Message:
    """Send a text.

    Raises:
        ApiError: as Telegram refuses it.
    """
    room, message = _begin(state, wanted)
    text, entities = text_of(wanted.text, wanted.parse_mode, wanted.entities)
    message["text"] = text
    if entities:
        message["entities"] = entities
    if wanted.link_preview_options is not None:
        message["link_preview_options"] = wanted.link_preview_options
    return _finish(state, events, room, message, wanted)


def send_photo(state: State, events: Events, wanted: SendPhoto) -> Message:
    """Send a photo, new or known.

    Raises:
        ApiError: as Telegram refuses it.
    """
    room, message = _begin(state, wanted)
    put_photo(state, message, wanted.photo)
    caption, entities = caption_of(wanted.caption, wanted.parse_mode, wanted.caption_entities)
    if caption:
        message["caption"] = caption
        if entities:
            message["caption_entities"] = entities
        if wanted.show_caption_above_media:
            message["show_caption_above_media"] = True
    if wanted.has_spoiler:
        message["has_media_spoiler"] = True
    return _finish(state, events, room, message, wanted)


def send_chat_action(state: State, events: Events, wanted: SendChatAction) -> bool:
    """Show that the bot is at work, for five seconds or until it says something."""
    room = room_of(state, wanted.chat_id)
    if wanted.action not in ACTIONS:
        raise bad_request("wrong parameter action in request")
    if wanted.message_thread_id is not None:
        raise bad_request("message thread not found")
    events.tell("action", chat_id=room.face["id"], action=wanted.action)
    return True


def text_of(
    text: str, parse_mode: str, entities: list[MessageEntity] | None
) -> tuple[str, list[MessageEntity]]:
    """Return the text of a message and its entities, Telegram's own findings among them."""
    plain, found = formatted(text, parse_mode, entities)
    if not plain:
        raise bad_request("message text is empty")
    if len(plain) > MOST_TEXT:
        raise bad_request("message is too long")
    return plain, with_detected(plain, found)


def caption_of(
    caption: str, parse_mode: str, entities: list[MessageEntity] | None
) -> tuple[str, list[MessageEntity]]:
    """Return the caption of a photo, which may be empty, and its entities."""
    plain, found = formatted(caption, parse_mode, entities)
    if len(plain) > MOST_CAPTION:
        raise bad_request("message caption is too long")
    return plain, with_detected(plain, found)


def put_photo(state: State, message: Message, photo: InputFile | str) -> None:
    """Put a photo into a message: an upload, or the id of a file that the bot has seen."""
    if isinstance(photo, str):
        state.add_photo(message, known_photo(state, photo))
        return
    if len(photo.data) > MOST_PHOTO_BYTES:
        raise bad_request("file is too big")
    try:
        state.add_photo(message, prepare(photo.data))
    except PictureError:
        raise bad_request("IMAGE_PROCESS_FAILED") from None


def known_photo(state: State, file_id: str) -> Prepared:
    """Return a photo that was sent before, by the id of any of its sizes."""
    if file_id in state.photos:
        return state.photos[file_id]
    if file_id.startswith(("http://", "https://")):
        raise bad_request("the simulator fetches no photos from elsewhere: upload them")
    if file_id in state.files:
        raise bad_request("can't use file of type Document as Photo")
    raise bad_request("wrong file identifier/HTTP URL specified")


def _begin(state: State, wanted: SendMessage | SendPhoto) -> tuple[Room, Message]:
    room = room_of(state, wanted.chat_id)
    _refuse_places(wanted)
    replied = replied_message(room, wanted.reply_parameters)
    message = state.new_message(room, state.bot)
    if replied is not None:
        message["reply_to_message"] = replied
    return room, message


def _refuse_places(wanted: SendMessage | SendPhoto) -> None:
    if wanted.message_thread_id is not None:
        raise bad_request("message thread not found")
    if wanted.business_connection_id is not None:
        raise bad_request("business connection not found")
    if wanted.direct_messages_topic_id is not None:
        raise ApiError(400, "Bad Request: the simulator has no direct messages chats")


def _finish(
    state: State, events: Events, room: Room, message: Message, wanted: SendMessage | SendPhoto
) -> Message:
    if wanted.protect_content:
        message["has_protected_content"] = True
    if wanted.message_effect_id is not None:
        message["effect_id"] = wanted.message_effect_id
    if (buttons := inline_keyboard(wanted.reply_markup)) is not None:
        message["reply_markup"] = buttons
    state.keep(message)
    other = wanted.reply_markup if buttons is None else None
    events.tell("message", message=message, **({"keyboard": other} if other else {}))
    return message
