"""Who is there and what was said: users, chats, messages, files, open questions.

Owns the bookkeeping. Decides nothing: what people may do is in `people.py`, what the bot may do in
`sending.py` and its neighbours.
"""

from __future__ import annotations

import itertools
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass

from doggo.telegram_sim.objects import BotCommand, Chat, Message, PhotoSize, User
from doggo.telegram_sim.pictures import Prepared, Size, unique_id
from doggo.telegram_sim.records import Presence, Question, Room, StoredFile, Tap

_FIRST_USER_ID = 1001
_FIRST_GROUP_ID = -1_001_000_000_001


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandKey:
    """For whom a list of commands is: a scope of the API, and a language."""

    scope: str = "default"
    chat_id: int = 0
    user_id: int = 0
    language: str = ""


class State:
    """Everything that this Telegram remembers.

    Attributes:
        bot: the one bot that is served.
        privacy_mode: the bot hears in groups only what is meant for it.
        photos: all sizes of a photo, by the file of any.
        inline_messages: chat and message by inline_message_id.
    """

    def __init__(self, bot: User, clock: Callable[[], float]) -> None:
        self.bot = bot
        self.privacy_mode = not bot.get("can_read_all_group_messages", False)
        self.users: dict[int, User] = {}
        self.rooms: dict[int, Room] = {}
        self.files: dict[str, StoredFile] = {}
        self.paths: dict[str, StoredFile] = {}
        self.photos: dict[str, Prepared] = {}
        self.taps: dict[str, Tap] = {}
        self.questions: dict[str, Question] = {}
        self.inline_messages: dict[str, tuple[int, int]] = {}
        self.commands: dict[CommandKey, list[BotCommand]] = {}
        self.descriptions: dict[tuple[str, str], str] = {}
        self._clock = clock
        self._user_ids = itertools.count(_FIRST_USER_ID)
        self._group_ids = itertools.count(_FIRST_GROUP_ID, -1)
        self._message_ids = itertools.count(1)
        self._serial = itertools.count(1)

    def now(self) -> int:
        """Return the time as the API tells it."""
        return int(self._clock())

    def serial(self) -> int:
        """Return a number that was never given before."""
        return next(self._serial)

    def add_user(self, first_name: str, language_code: str, user_id: int | None) -> User:
        """Add a person and the private chat with the bot, in which nothing was said yet."""
        if user_id is None:
            user_id = next(one for one in self._user_ids if one not in self.users)
        user: User = {"id": user_id, "is_bot": False, "first_name": first_name}
        if language_code:
            user["language_code"] = language_code
        self.users[user_id] = user
        face: Chat = {"id": user_id, "type": "private", "first_name": first_name}
        self.rooms[user_id] = Room(face, {user_id}, Presence.UNMET)
        return user

    def add_group(self, title: str, members: set[int], chat_id: int | None) -> Room:
        """Add a group without the bot."""
        if chat_id is None:
            chat_id = next(one for one in self._group_ids if one not in self.rooms)
        face: Chat = {"id": chat_id, "type": "supergroup", "title": title}
        self.rooms[chat_id] = Room(face, members, Presence.BLOCKED)
        return self.rooms[chat_id]

    def new_message(self, room: Room, sender: User) -> Message:
        """Return an empty message of a chat; it is there once `keep` was called."""
        return {
            "message_id": next(self._message_ids),
            "from": sender,
            "chat": room.face,
            "date": self.now(),
        }

    def keep(self, message: Message) -> None:
        """Put a message into its chat."""
        self.rooms[message["chat"]["id"]].messages[message["message_id"]] = message

    def inline_id(self, chat_id: int, message_id: int) -> str:
        """Return the inline_message_id of a message; empty if it was not sent via the bot."""
        place = (chat_id, message_id)
        return next((key for key, one in self.inline_messages.items() if one == place), "")

    def store(
        self, data: bytes, mime_type: str, *, unique: str = "", size_bytes: int | None = None
    ) -> StoredFile:
        """Keep a file under a new id."""
        number = self.serial()
        kind = mime_type.partition("/")[0] if mime_type.startswith(("image/", "video/")) else "file"
        folder = {"image": "photos", "video": "videos"}.get(kind, "documents")
        suffix = mimetypes.guess_extension(mime_type) or ".bin"
        unique = unique or unique_id(data)
        stored = StoredFile(
            file_id=f"AgAC{number:08x}{unique[4:]}",
            unique_id=unique,
            data=data,
            size_bytes=len(data) if size_bytes is None else size_bytes,
            path=f"{folder}/file_{number}{suffix}",
            mime_type=mime_type,
        )
        self.files[stored.file_id] = stored
        self.paths[stored.path] = stored
        return stored

    def add_photo(self, message: Message, photo: Prepared) -> None:
        """Put a photo into a message, in all its sizes."""
        message["photo"] = [self.store_size(size) for size in photo.sizes]
        for size in message["photo"]:
            self.photos[size["file_id"]] = photo

    def store_size(self, size: Size) -> PhotoSize:
        """Keep one size of a photo; returns it as the API shows it."""
        stored = self.store(size.jpeg, "image/jpeg", unique=size.unique_id)
        return {
            "file_id": stored.file_id,
            "file_unique_id": stored.unique_id,
            "width": size.width,
            "height": size.height,
            "file_size": stored.size_bytes,
        }


def quoted(message: Message) -> Message:
    """Return a message as it appears inside one that replies to it: it quotes no further."""
    copy = message.copy()
    copy.pop("reply_to_message", None)
    return copy
