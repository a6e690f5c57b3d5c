"""An update as Telegram sends it becomes the few fields that its answer needs, or its number.

Owns what is meant for the bot: everything in a private chat; in a group only what mentions it,
replies to it or says /dog. Never raises: an update that nobody understands is recorded as such.
Names, titles and words that no answer needs go no further than this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from doggo.bot.pictures import picture_in, unfit_in
from doggo.bot.reading import Json, child, children, number, words
from doggo.core.chat import ChatKind, Incoming, Kind, Unanswered

ALLOWED_UPDATES = ("message", "callback_query", "inline_query", "my_chat_member")
"""What Telegram is asked to send."""

MAX_WORDS = 200
"""Characters kept of a caption, an argument or a query: no breed's name is longer."""

_MAX_CALLBACK_ID = 128
_CHATS = {
    "private": ChatKind.PRIVATE,
    "group": ChatKind.GROUP,
    "supergroup": ChatKind.GROUP,
}
_LOOK = "dog"  # the command that asks for a look at a photo
_AWAY = frozenset({"left", "kicked"})
_HERE = frozenset({"member", "administrator", "restricted"})


@dataclass(frozen=True, kw_only=True, slots=True)
class BotName:
    """Who we are at Telegram.

    Attributes:
        username: without @, in lower case.
        searchable: inline mode is on.
    """

    bot_id: int
    username: str
    searchable: bool = True


def read_update(raw: object, me: BotName) -> Incoming | Unanswered | None:
    """Return what an update asks of us; None if it has not even a number."""
    if not isinstance(raw, dict):
        return None
    update_id = number(raw, "update_id")
    if update_id is None or update_id < 0:
        return None
    for name, read in _READERS.items():
        if isinstance(raw.get(name), dict):
            found = read(update_id, raw[name], me)
            return found or Unanswered(update_id=update_id, kind="not_for_us")
    known = any(name in raw for name in ALLOWED_UPDATES)
    return Unanswered(update_id=update_id, kind="unreadable" if known else "unknown_kind")


def _message(update_id: int, message: Json, me: BotName) -> Incoming | Unanswered | None:
    chat, sender = child(message, "chat"), child(message, "from")
    chat_id, user_id = number(chat, "id"), number(sender, "id")
    message_id, kind = number(message, "message_id"), _chat_kind(chat)
    if chat.get("type") == "channel":
        return None
    if chat_id is None or user_id is None or message_id is None or kind is None:
        return Unanswered(update_id=update_id, kind="unreadable")
    if sender.get("is_bot") is True and not child(message, "sender_chat"):
        return None  # two bots would talk for ever; an anonymous admin only looks like one
    asked = _asked(message, me, kind)
    if asked is None:
        return None
    return Incoming(
        update_id=update_id,
        chat_id=chat_id,
        chat_kind=kind,
        user_id=user_id,
        language=words(sender, "language_code", 20),
        message_id=message_id,
        thread_id=number(message, "message_thread_id") if message.get("is_topic_message") else None,
        sent_at=number(message, "date") or 0,
        **asked,
    )


def _asked(message: Json, me: BotName, chat_kind: ChatKind) -> dict[str, Any] | None:
    """Return kind, file, command and words of a message, or None if it is not for us."""
    said = _Said.of(message, me)
    if said.command and said.command_for not in ("", me.username):
        return None  # /dog@another_bot
    if chat_kind is ChatKind.GROUP and not (said.to_us or said.command == _LOOK):
        return None
    command = {"kind": Kind.COMMAND, "command": said.command, "text": said.words}
    if said.command and said.command != _LOOK:
        return command
    file = picture_in(message) or _picture_replied_to(message)
    if file is not None:
        album = words(message, "media_group_id", 64)
        return {"kind": Kind.PHOTO, "file": file, "album": album, "text": said.words}
    return command if said.command else _without_picture(message, said)


def _without_picture(message: Json, said: _Said) -> dict[str, Any] | None:
    if unfit_in(message):
        return {"kind": Kind.UNFIT}
    if "text" not in message:
        return None  # somebody joined, a message was pinned
    return {"kind": Kind.TEXT, "text": said.words if said.answers_us else ""}


def _picture_replied_to(message: Json) -> Any:
    for name in ("reply_to_message", "external_reply"):
        if file := picture_in(child(message, name)):
            return file
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """The words of a message, without the mention of us.

    Attributes:
        command_for: the bot it names, without @, in lower case; empty if none.
        to_us: it mentions us, names us in a command, or replies to us.
        answers_us: it replies to us, or was made with our inline search.
    """

    command: str
    command_for: str
    words: str
    to_us: bool
    answers_us: bool

    @classmethod
    def of(cls, message: Json, me: BotName) -> _Said:
        name = "text" if "text" in message else "caption"
        entities = children(message, "entities" if name == "text" else "caption_entities")
        text = _Utf16(words(message, name, 4096))
        command = command_for = ""
        mentioned, cut = False, []
        for entity in entities:
            start, length = number(entity, "offset") or 0, number(entity, "length") or 0
            part = text.cut(start, length)
            if entity.get("type") == "bot_command" and start == 0 and part.startswith("/"):
                command, _, command_for = part[1:].lower().partition("@")
                cut.append((start, length))
            elif _mentions(entity, part, me):
                mentioned = True
                cut.append((start, length))
        via_us = number(child(message, "via_bot"), "id") == me.bot_id
        replied = child(child(message, "reply_to_message"), "from")
        answers_us = via_us or number(replied, "id") == me.bot_id
        return cls(
            command=command[:64],
            command_for=command_for,
            words=text.without(cut)[:MAX_WORDS],
            to_us=mentioned or answers_us or (bool(command) and command_for == me.username),
            answers_us=answers_us,
        )


class _Utf16:
    """A text that is cut where Telegram counts: in UTF-16 code units."""

    def __init__(self, text: str) -> None:
        self._units = text.encode("utf-16-le")

    def cut(self, start: int, length: int) -> str:
        return self._text(self._units[2 * max(start, 0) : 2 * max(start + length, 0)])

    def without(self, parts: list[tuple[int, int]]) -> str:
        units = self._units
        for start, length in sorted(parts, reverse=True):
            units = units[: 2 * max(start, 0)] + units[2 * max(start + length, 0) :]
        # Lines stay: what our search sends says in its second line which photo it means.
        lines = (" ".join(line.split()) for line in self._text(units).splitlines())
        return "\n".join(line for line in lines if line)

    @staticmethod
    def _text(units: bytes) -> str:
        return units.decode("utf-16-le", "replace")


def _mentions(entity: Json, part: str, me: BotName) -> bool:
    if entity.get("type") == "text_mention":
        return number(child(entity, "user"), "id") == me.bot_id
    return entity.get("type") == "mention" and part.lower() == f"@{me.username}"


def _tap(update_id: int, tap: Json, me: BotName) -> Incoming | Unanswered | None:
    sender, message = child(tap, "from"), child(tap, "message")
    user_id, callback_id = number(sender, "id"), words(tap, "id", _MAX_CALLBACK_ID)
    if user_id is None or not callback_id:
        return Unanswered(update_id=update_id, kind="unreadable")
    chat = child(message, "chat")
    chat_id = number(chat, "id")
    kind = _chat_kind(chat)
    within_reach = message.get("date") != 0  # of one that is too old only its number is told
    if chat_id is None or kind is None:  # a button under an inline result: no chat of ours
        chat_id, kind, message = user_id, ChatKind.NONE, {}
    return Incoming(
        update_id=update_id,
        kind=Kind.TAP,
        chat_id=chat_id,
        chat_kind=kind,
        user_id=user_id,
        language=words(sender, "language_code", 20),
        message_id=(within_reach and number(message, "message_id")) or 0,
        thread_id=number(message, "message_thread_id") if message.get("is_topic_message") else None,
        text=words(tap, "data", 64),
        callback_id=callback_id,
    )


def _search(update_id: int, query: Json, me: BotName) -> Incoming | Unanswered | None:
    sender = child(query, "from")
    user_id, callback_id = number(sender, "id"), words(query, "id", _MAX_CALLBACK_ID)
    if user_id is None or not callback_id:
        return Unanswered(update_id=update_id, kind="unreadable")
    return Incoming(
        update_id=update_id,
        kind=Kind.SEARCH,
        chat_id=user_id,
        chat_kind=ChatKind.NONE,
        user_id=user_id,
        language=words(sender, "language_code", 20),
        text=words(query, "query", MAX_WORDS),
        callback_id=callback_id,
    )


def _membership(update_id: int, change: Json, me: BotName) -> Incoming | Unanswered | None:
    chat, sender = child(change, "chat"), child(change, "from")
    chat_id, user_id, chat_kind = number(chat, "id"), number(sender, "id"), _chat_kind(chat)
    if chat_kind is None:
        return None
    if chat_id is None or user_id is None:
        return Unanswered(update_id=update_id, kind="unreadable")
    before = words(child(change, "old_chat_member"), "status", 20)
    after = words(child(change, "new_chat_member"), "status", 20)
    if after in _AWAY:
        kind = Kind.LEFT
    elif after in _HERE and before not in _HERE:
        kind = Kind.JOINED
    else:
        return None
    return Incoming(
        update_id=update_id,
        kind=kind,
        chat_id=chat_id,
        chat_kind=chat_kind,
        user_id=user_id,
        language=words(sender, "language_code", 20),
    )


def _chat_kind(chat: Json) -> ChatKind | None:
    kind = chat.get("type")
    return _CHATS.get(kind) if isinstance(kind, str) else None


_READERS = {
    "message": _message,
    "callback_query": _tap,
    "inline_query": _search,
    "my_chat_member": _membership,
}
