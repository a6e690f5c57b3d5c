"""The conversation as a reader sees it: one file a language, compared word for word.

After a change of words or buttons, `UPDATE_GOLDEN=1 pytest tests/bot/test_golden.py` writes the
files anew; read the difference before committing it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.bot.bot_api import plain
from tests.bot.scenes import (
    BEAGLE,
    KNOWLEDGE,
    LOOK_ALIKES,
    OWNER,
    FakeMemory,
    album,
    incoming,
    look,
    prediction,
    some_data,
)

from doggo.bot.callback import Tap, Verb, encode, tag
from doggo.bot.commands import IN_PRIVATE
from doggo.bot.conversation import answer, answer_photos
from doggo.bot.texts import languages
from doggo.core.chat import ChatKind, Consent, Kind, Method, Person, Preview, Refusal, Turn

GOLDEN = Path(__file__).parent / "golden"
SETTLED = Person(consent=Consent.NO)


@pytest.mark.parametrize("language", languages())
def test_the_conversation_reads_as_it_did(language: str) -> None:
    file = GOLDEN / f"{language}.txt"
    read = "\n\n".join(_conversation(language)) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(read, encoding="utf-8")
    assert read == file.read_text(encoding="utf-8")


def _conversation(language: str) -> Iterator[str]:
    memory = FakeMemory(mine=some_data())
    unsure = prediction(LOOK_ALIKES, verdict=prediction().verdict.UNSURE, number=1)
    no_dog = prediction(BEAGLE, verdict=prediction().verdict.NOT_A_DOG, number=2)

    def photo(what: str, *looks: Any) -> str:
        turn = memory.take(answer_photos(looks, memory, KNOWLEDGE))
        memory.people[1001] = replace(SETTLED)
        return _drawn(what, turn)

    def update(what: str, kind: Kind, text: str = "", **more: Any) -> str:
        asked = incoming(kind, text, language=language, **more)
        return _drawn(what, answer(asked, memory, KNOWLEDGE))

    def tap(what: str, verb: Verb, photo: int = 0, **more: Any) -> str:
        prediction_id = list(memory.told)[photo] if not more.get("word") else ""
        return update(what, Kind.TAP, encode(Tap(verb=verb, prediction_id=prediction_id, **more)))

    def seen(outcome: Any, caption: str = "", **more: Any) -> Any:
        return look(outcome, caption, language=language, **more)

    yield photo("a first photo", seen(prediction()))
    yield tap("wrong", Verb.WRONG)
    yield tap("this one", Verb.PICK, place=2)
    yield tap("don't know", Verb.UNKNOWN)
    yield photo("look-alikes", seen(unsure))
    yield photo("no dog", seen(no_dog))
    yield photo("a GIF, the same breed in its caption", seen(prediction(), "beagle", preview=Preview.MOTION))  # fmt: skip # noqa: E501
    yield photo("another breed in the caption", seen(unsure, "Pug"))
    for reason in Refusal:
        yield photo(reason.value, seen(reason))
    yield photo("an album", *album(language))
    yield tap("photo 2", Verb.ASK, 1)
    yield tap("right", Verb.RIGHT, 1)
    yield update("a search", Kind.SEARCH, f"is {tag(next(iter(memory.told)))} bull")
    yield update("the search's message", Kind.TEXT, f"🐶 Pug\n📷 {tag(next(iter(memory.told)))}")
    for command in IN_PRIVATE:
        yield update(f"/{command}", Kind.COMMAND, command=command)
    yield update("/breed alsatian", Kind.COMMAND, "alsatian", command="breed")
    yield update("/breed begle", Kind.COMMAND, "begle", command="breed")
    yield update("/stats of the owner", Kind.COMMAND, command="stats", user_id=OWNER)
    yield tap("consent", Verb.CONSENT, word="yes")
    yield tap("no consent", Verb.CONSENT, word="no")
    yield tap("forget", Verb.FORGET, word="yes")
    yield update("words", Kind.TEXT)
    yield update("a sticker", Kind.UNFIT)
    yield update("a group", Kind.JOINED, chat_kind=ChatKind.GROUP)
    yield update("/mydata in a group", Kind.COMMAND, command="mydata", chat_kind=ChatKind.GROUP)


def _drawn(what: str, turn: Turn) -> str:
    parts = [f"════ {what}"]
    for reply in turn.replies:
        arguments: Any = reply.arguments
        if reply.method in (Method.SEND_MESSAGE, Method.EDIT_TEXT):
            parts.append(plain(arguments["text"]))
        elif reply.method == Method.ANSWER_TAP and arguments.get("text"):
            parts.append(f"({arguments['text']})")
        elif reply.method == Method.ANSWER_SEARCH:
            parts += [f"{one['title']}: {one['description']}" for one in arguments["results"]]
        for row in arguments.get("reply_markup", {}).get("inline_keyboard", []):
            parts.append(" ".join(f"[{button['text']}]" for button in row))
    return "\n".join(parts)
