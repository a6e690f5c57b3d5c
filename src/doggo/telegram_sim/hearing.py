"""What a bot hears of a group while its privacy mode is on.

Owns the rule (core.telegram.org/bots/features#privacy-mode, and BotFather's words for it):
commands that name no other bot, mentions, replies to the bot, and what was sent through it.
"""

from __future__ import annotations

from doggo.telegram_sim.objects import Message, User


def is_for(bot: User, message: Message) -> bool:
    """Return whether a message of a group is meant for the bot."""
    if message.get("via_bot", {}).get("id") == bot["id"]:
        return True
    replied = message.get("reply_to_message")
    if replied is not None and replied["from"]["id"] == bot["id"]:
        return True
    name = bot["username"].lower()
    return any(
        whom == name or (kind == "bot_command" and not whom) for kind, whom in _addressed(message)
    )


def _addressed(message: Message) -> list[tuple[str, str]]:
    """Return the kinds of the entities that name somebody, and the name in lower case."""
    text = message.get("text") or message.get("caption") or ""
    units = text.encode("utf-16-le", "surrogatepass")
    found = []
    for entity in message.get("entities") or message.get("caption_entities") or []:
        if entity["type"] in ("mention", "bot_command"):
            start = entity["offset"] * 2
            word = units[start : start + entity["length"] * 2].decode("utf-16-le", "replace")
            found.append((entity["type"], word.partition("@")[2].lower()))
    return found
