"""The keyboards under the bot's messages.

    question: [right] [wrong] [I don't know]      or [it is a dog] [I don't know]
    picks:    the next best breeds, [search] [I don't know], [back]
    thanks:   what was said; a tap asks again
    numbers:  the photos of an album, each leads to its question

Owns which buttons there are and what they carry. A keyboard is built from what is remembered of
a prediction alone, so a tap needs no state besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from doggo.bot import texts
from doggo.bot.callback import Tap, Verb, encode, tag
from doggo.core.breeds import title
from doggo.core.chat import JsonValue, Remembered
from doggo.core.records import Verdict

PICKS = 4
"""Breeds to choose from: more would push the answer off a phone's screen."""

_HALF_ROW = 16  # characters of a button that shares its row, on a phone of 360 px
_LONGEST = 40  # characters; Telegram cuts what does not fit, after sending it in full
_NUMBERS_A_ROW = 5
_LETTERS_A_ROW = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """One button; it carries `data`, or opens `url`, or types `query` behind the bot's name."""

    text: str
    data: str = ""
    url: str = ""
    query: str = ""


Keyboard: TypeAlias = tuple[tuple[Button, ...], ...]
NONE: Keyboard = ()


def markup(keyboard: Keyboard) -> dict[str, JsonValue]:
    """Return a keyboard as the Bot API's InlineKeyboardMarkup."""
    return {"inline_keyboard": [[_json(button) for button in row] for row in keyboard]}


def question(language: str, remembered: Remembered) -> Keyboard:
    """Ask whether an answer is right; for a photo of an album, name the photo first."""
    unknown = _on(remembered, Verb.UNKNOWN, texts.say(language, "button.unknown"))
    if remembered.verdict == Verdict.NOT_A_DOG:
        is_a_dog = _on(remembered, Verb.WRONG, texts.say(language, "button.is_a_dog"))
        row: tuple[Button, ...] = (is_a_dog, unknown)
    else:
        right = _on(remembered, Verb.RIGHT, texts.say(language, "button.right"))
        wrong = _on(remembered, Verb.WRONG, texts.say(language, "button.wrong"))
        row = (right, wrong, unknown)
    return (*_which_photo(language, remembered), row)


def picks(language: str, remembered: Remembered, *, searchable: bool) -> Keyboard:
    """Offer the next best breeds: without the best, unless the answer named none."""
    first = 0 if remembered.verdict == Verdict.NOT_A_DOG else 1
    offered = [
        Button(
            text=_short(title(breed)),
            data=encode(
                Tap(verb=Verb.PICK, prediction_id=remembered.prediction_id, place=first + place)
            ),
        )
        for place, breed in enumerate(remembered.breeds[first : first + PICKS])
    ]
    rest = [_on(remembered, Verb.UNKNOWN, texts.say(language, "button.unknown"))]
    if searchable:
        query = f"is {tag(remembered.prediction_id)} "
        rest.insert(0, Button(text=texts.say(language, "button.search"), query=query))
    back = _on(remembered, Verb.ASK, texts.say(language, "button.back"))
    return (*_packed(offered), *_packed(rest), (back,))


def thanks(language: str, remembered: Remembered, breed: str | None) -> Keyboard:
    """Show what was said (None: not known); a tap lets the user say something else."""
    if breed is None:
        text = texts.say(language, "button.thanks_unknown")
    else:
        text = texts.say(language, "button.thanks", breed=_short(title(breed)))
    said = (_on(remembered, Verb.ASK, text),)
    return (said, *numbers(remembered.album)) if remembered.album else (said,)


def numbers(album: Sequence[str]) -> Keyboard:
    """Let the user choose a photo of an album: those with a prediction, by their numbers."""
    found = [
        Button(text=str(number), data=encode(Tap(verb=Verb.ASK, prediction_id=prediction_id)))
        for number, prediction_id in enumerate(album, start=1)
        if prediction_id
    ]
    return _rows(found, _NUMBERS_A_ROW)


def yes_no(language: str, verb: Verb, keys: tuple[str, str], now: str = "") -> Keyboard:
    """Offer two answers, one below the other.

    Args:
        keys: of the texts for `yes` and `no`.
        now: the word that is the present choice, marked.
    """
    return tuple(
        (
            Button(
                text=("✓ " if word == now else "") + texts.say(language, key),
                data=encode(Tap(verb=verb, word=word)),
            ),
        )
        for word, key in zip(("yes", "no"), keys, strict=True)
    )


def consent(language: str, verb: Verb, now: str = "") -> Keyboard:
    """Ask whether photos may be kept (verb CONSENT or PRIVACY)."""
    return yes_no(language, verb, ("button.keep_photos", "button.keep_none"), now)


def forget(language: str) -> Keyboard:
    """Ask whether all data shall be erased."""
    return yes_no(language, Verb.FORGET, ("button.erase", "button.cancel"))


def languages(language: str) -> Keyboard:
    """Offer the languages of the catalogue, and that of the app."""
    offered = [
        Button(text=name, data=encode(Tap(verb=Verb.LANGUAGE, word=code)))
        for code, name in texts.languages().items()
    ]
    automatic = Button(
        text=texts.say(language, "button.automatic"),
        data=encode(Tap(verb=Verb.LANGUAGE, word="auto")),
    )
    return (*_rows(offered, 2), (automatic,))


def letters(found: Iterable[str]) -> Keyboard:
    """Offer first letters of breeds."""
    offered = [
        Button(text=letter.upper(), data=encode(Tap(verb=Verb.LETTER, word=letter)))
        for letter in found
    ]
    return _rows(offered, _LETTERS_A_ROW)


def private_chat(language: str, username: str, command: str) -> Keyboard:
    """Lead from a group to the private chat, where `command` runs at once."""
    url = f"https://t.me/{username}?start={command}"
    return ((Button(text=texts.say(language, "button.private"), url=url),),)


def _which_photo(language: str, remembered: Remembered) -> Keyboard:
    if remembered.prediction_id not in remembered.album:
        return NONE
    if remembered.verdict == Verdict.NOT_A_DOG:
        name = texts.say(language, "word.no_dog")
    else:
        name = title(remembered.breeds[0])
    number = remembered.album.index(remembered.prediction_id) + 1
    text = texts.say(language, "button.photo", number=number, breed=_short(name))
    return ((_on(remembered, Verb.NUMBERS, text),),)


def _on(remembered: Remembered, verb: Verb, text: str) -> Button:
    return Button(text=text, data=encode(Tap(verb=verb, prediction_id=remembered.prediction_id)))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _rows(buttons: Sequence[Button], width: int) -> Keyboard:
    return tuple(tuple(buttons[at : at + width]) for at in range(0, len(buttons), width))


def _packed(buttons: Sequence[Button]) -> Keyboard:
    """Put two short buttons in a row, a long one alone."""
    rows: list[tuple[Button, ...]] = []
    for button in buttons:
        short = len(button.text) <= _HALF_ROW
        if short and rows and len(rows[-1]) == 1 and len(rows[-1][0].text) <= _HALF_ROW:
            rows[-1] = (*rows[-1], button)
        else:
            rows.append((button,))
    return tuple(rows)


def _json(button: Button) -> JsonValue:
    if button.url:
        return {"text": button.text, "url": button.url}
    if button.query:
        return {"text": button.text, "switch_inline_query_current_chat": button.query}
    return {"text": button.text, "callback_data": button.data}
