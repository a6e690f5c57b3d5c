"""What people do: write, send pictures, press buttons, block the bot.

Owns which of it the bot hears, and as which update. Wrong moves raise `WrongMoveError`; they are
mistakes of a test or the page, never of the bot.
"""

from __future__ import annotations

from collections.abc import Sequence

from doggo.telegram_sim.attachments import KINDS, attach
from doggo.telegram_sim.backlog import Backlog
from doggo.telegram_sim.events import Events
from doggo.telegram_sim.formatting import detected
from doggo.telegram_sim.hearing import is_for
from doggo.telegram_sim.markup import offered
from doggo.telegram_sim.objects import (
    CallbackQuery,
    ChatMember,
    ChatMemberUpdated,
    Message,
    User,
)
from doggo.telegram_sim.pictures import PictureError, Prepared, prepare
from doggo.telegram_sim.records import Presence, Room, Tap
from doggo.telegram_sim.state import State, quoted


class WrongMoveError(ValueError):
    """A person cannot do that."""


class People:
    """The hands of everybody who is not the bot; usable from any thread."""

    def __init__(self, state: State, backlog: Backlog, events: Events) -> None:
        self._state = state
        self._backlog = backlog
        self._events = events

    def add_user(
        self, first_name: str = "Ada", language_code: str = "en", user_id: int | None = None
    ) -> User:
        """Add a person, who has not written to the bot yet."""
        if user_id is not None and (user_id in self._state.users or user_id <= 0):
            raise WrongMoveError(f"there is a user {user_id}, or it is no id of a user")
        user = self._state.add_user(first_name, language_code, user_id)
        self._tell_room(self._state.rooms[user["id"]])
        return user

    def add_group(
        self, title: str, members: Sequence[int], chat_id: int | None = None, *, bot: bool = True
    ) -> int:
        """Make a group of users and add the bot to it; returns the id of the chat."""
        for user_id in members:
            self.user(user_id)
        if not members:
            raise WrongMoveError("a group needs a member")
        if chat_id is not None and (chat_id in self._state.rooms or chat_id >= 0):
            raise WrongMoveError(f"there is a chat {chat_id}, or it is no id of a group")
        room = self._state.add_group(title, set(members), chat_id)
        if bot:
            self.admit_bot(room.face["id"], members[0])
        self._tell_room(room)
        return room.face["id"]

    def send_text(
        self, chat_id: int, user_id: int, text: str, *, reply_to: int | None = None
    ) -> Message:
        """Write a message; commands, mentions and addresses in it become entities."""
        if not text.strip():
            raise WrongMoveError("an empty text cannot be sent")
        message = self._begin(chat_id, user_id, reply_to)
        message["text"] = text
        if found := detected(text):
            message["entities"] = found
        return self._sent(message)

    def send_photo(
        self,
        chat_id: int,
        user_id: int,
        photo: bytes | Prepared,
        *,
        caption: str = "",
        reply_to: int | None = None,
        album: str = "",
    ) -> Message:
        """Send a photo; the bot is offered several sizes of it, the smallest first."""
        ready = prepared(photo)
        message = self._begin(chat_id, user_id, reply_to)
        self._state.add_photo(message, ready)
        if album:
            message["media_group_id"] = album
        return self._captioned(message, caption)

    def send_album(
        self,
        chat_id: int,
        user_id: int,
        photos: Sequence[bytes | Prepared],
        *,
        caption: str = "",
    ) -> list[Message]:
        """Send 2 to 10 photos as one album; the caption is the first one's."""
        if not 2 <= len(photos) <= 10:
            raise WrongMoveError(f"an album has 2 to 10 photos, not {len(photos)}")
        ready = [prepared(photo) for photo in photos]
        album = str(13_000_000_000_000_000 + self._state.serial())
        return [
            self.send_photo(chat_id, user_id, photo, caption="" if place else caption, album=album)
            for place, photo in enumerate(ready)
        ]

    def send_file(
        self,
        chat_id: int,
        user_id: int,
        data: bytes,
        *,
        kind: str = "document",
        name: str = "",
        mime_type: str = "application/octet-stream",
        still: bytes | Prepared | None = None,
        size_bytes: int | None = None,
        caption: str = "",
        reply_to: int | None = None,
    ) -> Message:
        """Send a file.

        Args:
            kind: document, animation, video, voice or sticker.
            still: the picture of a motion that the bot may look at.
            size_bytes: to announce, if it is not that of `data`.
        """
        message = self._begin(chat_id, user_id, reply_to)
        stored = self._state.store(data, mime_type, size_bytes=size_bytes)
        thumbnail = None
        if still is not None:
            sizes = prepared(still).sizes
            thumbnail = self._state.store_size(sizes[min(1, len(sizes) - 1)])
        try:
            attach(message, kind, stored, name, thumbnail)
        except KeyError:
            raise WrongMoveError(f"a file is one of {', '.join(KINDS)}: {kind}") from None
        return self._captioned(message, caption)

    def send_location(self, chat_id: int, user_id: int, latitude: float, longitude: float) -> None:
        """Send a place: something that is neither text nor file."""
        message = self._begin(chat_id, user_id, None)
        message["location"] = {"latitude": latitude, "longitude": longitude}
        self._sent(message)

    def edit_text(self, chat_id: int, message_id: int, text: str) -> Message:
        """Change what a user wrote."""
        room = self.room(chat_id)
        message = room.messages.get(message_id)
        if message is None or "text" not in message or message["from"]["is_bot"]:
            raise WrongMoveError(f"there is no text of a user {message_id} in chat {chat_id}")
        message["text"] = text
        message["entities"] = detected(text)
        message["edit_date"] = self._state.now()
        if self._hears(room, message):
            self._backlog.add("edited_message", message, by=chat_id, chat_id=chat_id)
        self._events.tell("edited", message=message)
        return message

    def tap(self, user_id: int, chat_id: int, message_id: int, data: str) -> str:
        """Press a button of the bot; returns the id of the query."""
        room = self.room(chat_id)
        message = room.messages.get(message_id)
        if message is None or data not in offered(message):
            raise WrongMoveError(f"message {message_id} has no such button")
        query_id = str(4_000_000_000_000_000_000 + self._state.serial())
        self._state.taps[query_id] = Tap(user_id, chat_id, self._state.now())
        query: CallbackQuery = {
            "id": query_id,
            "from": self.user(user_id),
            "chat_instance": str(-(chat_id + 7_000_000_000_000)),
            "data": data,
        }
        inline_id = self._state.inline_id(chat_id, message_id)
        if inline_id:
            query["inline_message_id"] = inline_id
        else:
            query["message"] = message
        self._backlog.add("callback_query", query, by=user_id, chat_id=chat_id)
        return query_id

    def block(self, user_id: int) -> None:
        """Block the bot."""
        self._turn(self.room(user_id), user_id, Presence.BLOCKED, "member", "kicked")

    def unblock(self, user_id: int) -> None:
        """Unblock the bot."""
        self._turn(self.room(user_id), user_id, Presence.MEMBER, "kicked", "member")

    def admit_bot(self, chat_id: int, user_id: int) -> None:
        """Add the bot to a group."""
        self._turn(self.room(chat_id), user_id, Presence.MEMBER, "left", "member")

    def expel_bot(self, chat_id: int, user_id: int) -> None:
        """Remove the bot from a group."""
        self._turn(self.room(chat_id), user_id, Presence.BLOCKED, "member", "kicked")

    def room(self, chat_id: int) -> Room:
        """Return a chat."""
        try:
            return self._state.rooms[chat_id]
        except KeyError:
            raise WrongMoveError(f"there is no chat {chat_id}") from None

    def user(self, user_id: int) -> User:
        """Return a person."""
        try:
            return self._state.users[user_id]
        except KeyError:
            raise WrongMoveError(f"there is no user {user_id}") from None

    def post(self, message: Message) -> None:
        """Put a finished message of a user into its chat; the bot hears it if it may."""
        room = self.room(message["chat"]["id"])
        self._state.keep(message)
        if self._hears(room, message):
            self._backlog.add("message", message, by=room.face["id"], chat_id=room.face["id"])
        self._events.tell("message", message=message)

    def _begin(self, chat_id: int, user_id: int, reply_to: int | None) -> Message:
        room, user = self.room(chat_id), self.user(user_id)
        if user_id not in room.members:
            raise WrongMoveError(f"user {user_id} is not in chat {chat_id}")
        if room.is_private and room.presence is Presence.BLOCKED:
            raise WrongMoveError(f"user {user_id} blocked the bot: unblock it first")
        message = self._state.new_message(room, user)
        if reply_to is not None:
            if reply_to not in room.messages:
                raise WrongMoveError(f"there is no message {reply_to} in chat {chat_id}")
            message["reply_to_message"] = quoted(room.messages[reply_to])
        return message

    def _captioned(self, message: Message, caption: str) -> Message:
        if caption:
            message["caption"] = caption
            if found := detected(caption):
                message["caption_entities"] = found
        return self._sent(message)

    def _sent(self, message: Message) -> Message:
        room = self.room(message["chat"]["id"])
        if room.is_private and room.presence is Presence.UNMET:
            room.presence = Presence.MEMBER
            self._tell_room(room)
        self.post(message)
        return message

    def _hears(self, room: Room, message: Message) -> bool:
        if room.presence is not Presence.MEMBER:
            return False
        if room.is_private or not self._state.privacy_mode:
            return True
        return is_for(self._state.bot, message)

    def _turn(self, room: Room, user_id: int, to: Presence, old: str, new: str) -> None:
        if room.presence is to:
            return
        if room.presence is Presence.UNMET:
            old = "member"
        room.presence = to
        change: ChatMemberUpdated = {
            "chat": room.face,
            "from": self.user(user_id),
            "date": self._state.now(),
            "old_chat_member": _member(self._state.bot, old),
            "new_chat_member": _member(self._state.bot, new),
        }
        chat_id = room.face["id"]
        self._backlog.add("my_chat_member", change, by=chat_id, chat_id=chat_id)
        self._tell_room(room)

    def _tell_room(self, room: Room) -> None:
        user = self._state.users.get(room.face["id"])
        spoken = (
            {"language_code": user["language_code"]} if user and "language_code" in user else {}
        )
        self._events.tell("room", **room.described(), **spoken)


def prepared(photo: bytes | Prepared) -> Prepared:
    """Return a photo in its sizes.

    Raises:
        WrongMoveError: it is no picture; Telegram's apps would offer it as a file.
    """
    if isinstance(photo, Prepared):
        return photo
    try:
        return prepare(photo)
    except PictureError as error:
        raise WrongMoveError(f"{error}: send it as a file") from error


def _member(bot: User, status: str) -> ChatMember:
    if status == "kicked":
        return {"status": status, "user": bot, "until_date": 0}
    return {"status": status, "user": bot}
