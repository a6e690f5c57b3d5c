"""What a button carries: a verb and what it is about, in at most 64 bytes.

    1:right:IiJ0c8vWQtOkS0Y3yXbOaw        version : verb : tag of a prediction
    1:pick:IiJ0c8vWQtOkS0Y3yXbOaw:2       ... : place of the breed among those remembered
    1:language:de                         version : verb : word

Owns the grammar. Whoever taps may send anything, so `parse` accepts what `encode` writes and
nothing else. A tag is a prediction's id in 22 characters instead of 32.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from enum import StrEnum

VERSION = "1"
"""Changed when an old button could be misread; such a button is then answered with a hint."""


class Verb(StrEnum):
    """What a tap does."""

    ASK = "ask"  # shows the question under an answer
    RIGHT = "right"  # the best breed is right
    WRONG = "wrong"  # shows the breeds to choose from
    PICK = "pick"  # it is this one of them
    UNKNOWN = "unknown"  # the user does not know
    NUMBERS = "numbers"  # shows the numbers of an album's photos
    CONSENT = "consent"  # answers the question whether photos may be kept
    PRIVACY = "privacy"  # the same on the page of /privacy
    FORGET = "forget"  # answers the question of /forget
    LANGUAGE = "language"  # chooses a language
    LETTER = "letter"  # shows the breeds with this first letter


@dataclass(frozen=True, kw_only=True, slots=True)
class Tap:
    """A button that was tapped.

    Attributes:
        prediction_id: what it is about; empty for verbs that concern no photo.
        place: of the picked breed in `Remembered.breeds`, from 0 (PICK).
        word: the choice of the last five verbs.
    """

    verb: Verb
    prediction_id: str = ""
    place: int = 0
    word: str = ""


_WORDS = {
    Verb.CONSENT: re.compile(r"yes|no"),
    Verb.PRIVACY: re.compile(r"yes|no"),
    Verb.FORGET: re.compile(r"yes|no"),
    Verb.LANGUAGE: re.compile(r"[a-z]{2,8}"),
    Verb.LETTER: re.compile(r"[a-z0-9]"),
}
_VERBS = {verb.value: verb for verb in Verb}
_PLACE = re.compile(r"[0-9]")
_TAG = re.compile(r"[A-Za-z0-9_-]{22}")
_ID = re.compile(r"[0-9a-f]{32}")


def encode(tap: Tap) -> str:
    """Return the data of a button, at most 64 ASCII characters."""
    parts = [VERSION, tap.verb.value]
    if tap.verb in _WORDS:
        parts.append(tap.word)
    else:
        parts.append(tag(tap.prediction_id))
    if tap.verb == Verb.PICK:
        parts.append(str(tap.place))
    data = ":".join(parts)
    assert parse(data) == tap, f"{tap.verb} cannot be written"
    return data


def parse(data: str) -> Tap | None:
    """Return what a button means, or None if this version never wrote it."""
    version, _, rest = data.partition(":")
    word, _, about = rest.partition(":")
    verb = _VERBS.get(word)
    if version != VERSION or verb is None:
        return None
    if verb in _WORDS:
        return Tap(verb=verb, word=about) if _WORDS[verb].fullmatch(about) else None
    place = "0"
    if verb == Verb.PICK:
        about, _, place = about.partition(":")
    prediction_id = untag(about)
    if prediction_id is None or not _PLACE.fullmatch(place):
        return None
    return Tap(verb=verb, prediction_id=prediction_id, place=int(place))


def tag(prediction_id: str) -> str:
    """Return a prediction's id (32 hex digits) as 22 letters, digits, `-` and `_`."""
    assert _ID.fullmatch(prediction_id), "a prediction's id has 32 hex digits"
    return base64.urlsafe_b64encode(bytes.fromhex(prediction_id)).decode().rstrip("=")


def untag(text: str) -> str | None:
    """Return the id that a tag stands for, or None if no id has this tag."""
    if not _TAG.fullmatch(text):
        return None
    prediction_id = base64.urlsafe_b64decode(text + "==").hex()
    # 22 characters hold 4 bits more than an id: only one spelling of them is ours.
    return prediction_id if tag(prediction_id) == text else None
