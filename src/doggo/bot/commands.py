"""The commands: what each of them does, and the menus in which Telegram shows them.

Owns who may use a command where: what concerns one person alone is not told in a group, and
/stats exists for the owner only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from doggo.bot import buttons, pages, texts
from doggo.bot.pages import Page
from doggo.bot.replies import send
from doggo.bot.scene import Scene
from doggo.core.chat import ChatKind, JsonValue, Turn

DESCRIPTIONS = {
    "start": "menu.start",
    "help": "menu.help",
    "breeds": "menu.breeds",
    "breed": "menu.breed",
    "language": "menu.language",
    "privacy": "menu.privacy",
    "mydata": "menu.mydata",
    "forget": "menu.forget",
    "dog": "menu.dog",
}
"""Command -> key of its description. /stats is left out: nobody else shall look for it."""

IN_PRIVATE = ("start", "help", "breeds", "breed", "language", "privacy", "mydata", "forget")
IN_GROUPS = ("dog", "breeds", "breed", "help")
"""The menus, in their order."""

_PERSONAL = frozenset({"language", "privacy", "mydata", "forget"})


def answer(scene: Scene) -> Turn:
    """Answer a command."""
    command = scene.incoming.command
    if command == "start" and scene.incoming.text in _STARTED:
        command = scene.incoming.text  # t.me/BOT?start=privacy, the button of a group
    if command == "stats" and scene.incoming.user_id in scene.knowledge.owners:
        return _told(scene, pages.stats(scene)) if scene.private else _in_private(scene, "start")
    if command in _PERSONAL and not scene.private:
        return _in_private(scene, command)
    if command == "language":
        return _language(scene)
    page = _PAGES.get(command)
    if page is not None:
        return _told(scene, page(scene))
    if not scene.private:
        return Turn()  # meant for another bot, more likely than not
    return _told(scene, Page(text=scene.say("talk.unknown_command")))


def menus() -> tuple[dict[str, JsonValue], ...]:
    """Return the arguments of setMyCommands: English for all, then each language.

    Each for private chats and for groups; Telegram picks by the language of the app.
    """
    scopes = (("all_private_chats", IN_PRIVATE), ("all_group_chats", IN_GROUPS))
    found: list[dict[str, JsonValue]] = []
    for code in ("", *texts.languages()):
        for scope, names in scopes:
            language = code or texts.ENGLISH
            commands: list[JsonValue] = [
                {"command": name, "description": texts.say(language, DESCRIPTIONS[name])}
                for name in names
            ]
            menu: dict[str, JsonValue] = {"commands": commands, "scope": {"type": scope}}
            found.append(menu | ({"language_code": code} if code else {}))
    return tuple(found)


def change_language(scene: Scene, code: str) -> tuple[Scene, str] | None:
    """Return the scene in another language and the words that say so.

    Args:
        code: of the catalogue, or `auto` for the app's language. None is returned for others.
    """
    if code not in (*texts.languages(), "auto"):
        return None
    chosen = "" if code == "auto" else code
    changed = replace(scene, person=replace(scene.person, language=chosen))
    return changed, changed.say("language.done" if chosen else "language.automatic")


def _told(scene: Scene, page: Page) -> Turn:
    return Turn(replies=(send(scene.incoming, page.text, page.keyboard),))


def _in_private(scene: Scene, command: str) -> Turn:
    keyboard = buttons.private_chat(scene.language, scene.knowledge.username, command)
    return _told(scene, Page(text=scene.say("talk.private_only"), keyboard=keyboard))


def _language(scene: Scene) -> Turn:
    changed = change_language(scene, scene.incoming.text.strip().lower())
    if changed is None:
        keyboard = buttons.languages(scene.language)
        return _told(scene, Page(text=scene.say("language.choose"), keyboard=keyboard))
    then, words = changed
    return replace(_told(then, Page(text=words)), person=then.person)


def _start(scene: Scene) -> Page:
    if scene.private:
        return Page(text=scene.say("start.hello"))
    return how_in_groups(scene)


def how_in_groups(scene: Scene) -> Page:
    """Say how a group uses the bot."""
    return Page(text=scene.say("start.group", bot=scene.knowledge.username))


def _help(scene: Scene) -> Page:
    group = scene.incoming.chat_kind == ChatKind.GROUP
    how = how_in_groups(scene).text if group else scene.say("help.how")
    lines = [
        f"/{name}: {scene.say(DESCRIPTIONS[name])}" for name in (IN_GROUPS if group else IN_PRIVATE)
    ]
    return Page(text="\n\n".join([how, "\n".join([scene.say("help.commands"), *lines])]))


def _dog(scene: Scene) -> Page:
    return Page(text=scene.say("help.how")) if scene.private else how_in_groups(scene)


def _breeds(scene: Scene) -> Page:
    if scene.incoming.command == "start":
        return pages.all_breeds(scene)
    return pages.all_breeds(scene, scene.incoming.text.strip())


def _breed(scene: Scene) -> Page:
    return pages.one_breed(scene, scene.incoming.text)


def _privacy(scene: Scene) -> Page:
    return pages.privacy(scene, scene.person.consent)


def _forget(scene: Scene) -> Page:
    return Page(text=scene.say("forget.ask"), keyboard=buttons.forget(scene.language))


_PAGES: dict[str, Callable[[Scene], Page]] = {
    "start": _start,
    "help": _help,
    "breeds": _breeds,
    "breed": _breed,
    "privacy": _privacy,
    "mydata": pages.my_data,
    "forget": _forget,
    "dog": _dog,
}
_STARTED = frozenset({"help", "breeds", "language", "privacy", "mydata", "forget"})
