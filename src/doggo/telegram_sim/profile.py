"""What the bot says of itself: getMe, its commands and descriptions.

Owns which list of commands a person sees (core.telegram.org/bots/api#determining-list-of-commands).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from doggo.telegram_sim.arguments import DeleteMyCommands, GetMyCommands, SetMyCommands
from doggo.telegram_sim.events import Events
from doggo.telegram_sim.inputs import BotCommandScope
from doggo.telegram_sim.objects import BotCommand
from doggo.telegram_sim.records import Room
from doggo.telegram_sim.refusal import bad_request
from doggo.telegram_sim.state import CommandKey, State

MOST_COMMANDS = 100
MOST_DESCRIPTION = 512
MOST_SHORT_DESCRIPTION = 120

_SCOPES = {
    "default": (),
    "all_private_chats": (),
    "all_group_chats": (),
    "all_chat_administrators": (),
    "chat": ("chat_id",),
    "chat_administrators": ("chat_id",),
    "chat_member": ("chat_id", "user_id"),
}


def set_commands(state: State, events: Events, wanted: SetMyCommands) -> bool:
    """Set the commands of a scope and language."""
    if len(wanted.commands) > MOST_COMMANDS:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    for one in wanted.commands:
        if not re.fullmatch(r"[a-z0-9_]{1,32}", one["command"].removeprefix("/")):
            raise bad_request("BOT_COMMAND_INVALID")
        if not 1 <= len(one["description"]) <= 256:
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    kept: list[BotCommand] = [
        {"command": one["command"].removeprefix("/"), "description": one["description"]}
        for one in wanted.commands
    ]
    state.commands[_key(state, wanted.scope, wanted.language_code)] = kept
    events.tell("commands")
    return True


def get_commands(state: State, wanted: GetMyCommands) -> list[BotCommand]:
    """Return the commands of exactly this scope and language."""
    return state.commands.get(_key(state, wanted.scope, wanted.language_code), [])


def delete_commands(state: State, events: Events, wanted: DeleteMyCommands) -> bool:
    """Forget the commands of a scope and language."""
    state.commands.pop(_key(state, wanted.scope, wanted.language_code), None)
    events.tell("commands")
    return True


def set_description(state: State, what: str, text: str, language: str, most: int) -> bool:
    """Keep a description; an empty one takes it away.

    Args:
        what: `description` or `short_description`.
        most: characters it may have.
    """
    _check_language(language)
    if len(text) > most:
        words = "BOT_SHORT_DESCRIPTION" if what == "short_description" else "BOT_DESCRIPTION"
        raise bad_request(f"{words}_TOO_LONG")
    state.descriptions[what, language] = text
    return True


def get_description(state: State, what: str, language: str) -> str:
    """Return a description in a language, or the one without."""
    _check_language(language)
    found = state.descriptions.get((what, language))
    return found if found else state.descriptions.get((what, ""), "")


def commands_seen(state: State, room: Room, user_id: int) -> list[BotCommand]:
    """Return the commands that a person is offered in a chat: those of the narrowest scope."""
    language = state.users[user_id].get("language_code", "").partition("-")[0]
    chat_id = room.face["id"]
    for scope, chat, user in _scopes_of(room, chat_id, user_id):
        for spoken in (language, ""):
            key = CommandKey(scope=scope, chat_id=chat, user_id=user, language=spoken)
            if found := state.commands.get(key):
                return found
    return []


def _scopes_of(room: Room, chat_id: int, user_id: int) -> Iterator[tuple[str, int, int]]:
    if not room.is_private:
        yield "chat_member", chat_id, user_id
    yield "chat", chat_id, 0
    yield ("all_private_chats" if room.is_private else "all_group_chats"), 0, 0
    yield "default", 0, 0


def _key(state: State, scope: BotCommandScope | None, language: str) -> CommandKey:
    _check_language(language)
    if scope is None:
        return CommandKey(language=language)
    kind = scope["type"]
    if kind not in _SCOPES:
        raise bad_request("can't parse BotCommandScope: Unsupported type specified")
    for member in _SCOPES[kind]:
        if member not in scope:
            raise bad_request(f"can't parse BotCommandScope: Can't find field \"{member}\"")
    chat_id = scope.get("chat_id", 0)
    if _SCOPES[kind] and chat_id not in state.rooms:
        raise bad_request("chat not found")
    assert isinstance(chat_id, int)
    return CommandKey(
        scope=kind, chat_id=chat_id, user_id=scope.get("user_id", 0), language=language
    )


def _check_language(language: str) -> None:
    if language and not re.fullmatch(r"[a-z]{2}", language):
        raise bad_request("BOT_COMMAND_LANGUAGE_INVALID: two letters of ISO 639-1")
