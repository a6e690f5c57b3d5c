"""What the bot says about photos: one of them, or the photos of an album.

Owns the words, bars and figures of an answer, and which caption counts as the user's own label.
An answer is never surer than its verdict: no breed is named for a picture without a dog, and no
figure is rounded to 0 or 100 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from doggo.bot import texts
from doggo.core.breeds import BREEDS, normalise, title
from doggo.core.chat import Look, Preview, Refusal
from doggo.core.errors import InputError
from doggo.core.records import BreedProbability, Prediction, Verdict
from doggo.core.shares import share

SHOWN = 3
"""Breeds with a bar under a photo."""

_WIDTH = 28  # characters of fixed width that fit on a line of a phone of 360 px
_LONGEST_NAME = 30  # "American Staffordshire Terrier"; a longer one is cut
_FIGURE = 5  # characters of ">99 %"
_LONGEST_CAPTION = 100  # a longer one is no name of a breed

_HEADLINES = {
    Verdict.BREED: "answer.sure",
    Verdict.UNSURE: "answer.unsure",
    Verdict.NOT_A_DOG: "answer.not_a_dog",
}
_LINES = {
    Verdict.BREED: "album.sure",
    Verdict.UNSURE: "album.unsure",
    Verdict.NOT_A_DOG: "album.not_a_dog",
}
_REFUSALS = {
    Refusal.TOO_BIG: "refusal.too_big",
    Refusal.NOT_A_PICTURE: "refusal.not_a_picture",
    Refusal.BROKEN: "refusal.broken",
    Refusal.GONE: "refusal.gone",
    Refusal.BUSY: "refusal.busy",
    Refusal.NO_MODEL: "refusal.no_model",
}


def for_one(language: str, look: Look, labels: Sequence[str]) -> str:
    """Return the answer for a photo of its own, as HTML.

    Args:
        labels: keys that the model tells apart, to know what a caption names.
    """
    prediction = look.outcome
    if isinstance(prediction, Refusal):
        return refusal(language, prediction)
    breed = _short(title(prediction.breeds[0].breed))
    parts = [texts.say(language, _HEADLINES[prediction.verdict], breed=breed)]
    if prediction.verdict != Verdict.NOT_A_DOG:
        parts.append(bars(language, prediction.breeds[:SHOWN]))
    notes = _notes(language, look, prediction, labels)
    if notes:
        parts.append("\n".join(notes))
    return "\n\n".join(parts)


def for_album(language: str, looks: Sequence[Look], labels: Sequence[str]) -> str:
    """Return one answer for the photos of an album, numbered from 1, as HTML."""
    refusals = {look.outcome for look in looks if isinstance(look.outcome, Refusal)}
    predicted = [look for look in looks if not isinstance(look.outcome, Refusal)]
    if not predicted and len(refusals) == 1:
        return refusal(language, refusals.pop())
    lines = [
        f"<b>{number}.</b> {_line(language, look, labels)}"
        for number, look in enumerate(looks, start=1)
    ]
    parts = [texts.say(language, "album.title"), "\n".join(lines)]
    if predicted:
        parts.append(texts.say(language, "album.ask"))
    return "\n\n".join(parts)


def refusal(language: str, reason: Refusal) -> str:
    """Return the polite line for a photo without a prediction."""
    return texts.say(language, _REFUSALS[reason])


def bars(language: str, breeds: Sequence[BreedProbability]) -> str:
    """Return breeds with bars and percentages, aligned, two lines a breed, as HTML."""
    width = _WIDTH - _FIGURE - 1
    lines = []
    for guess in breeds:
        filled = min(round(guess.probability * width), width - 1)
        bar = "█" * filled + "░" * (width - filled)
        lines.append(_short(title(guess.breed)))
        lines.append(f"{bar} {percent(language, guess.probability):>{_FIGURE}}")
    return f"<pre>{escape(chr(10).join(lines), quote=False)}</pre>"


def percent(language: str, probability: float) -> str:
    """Return a probability as people read it: whole percents, but never 0 or 100 of them."""
    return texts.say(language, "number.percent", number=share(probability))


def hint(caption: str, labels: Sequence[str]) -> str | None:
    """Return the key of the breed that a caption names, or None.

    Only a caption that is nothing but the name counts ("Beagle", "#beagle", "@bot alsatian"): in
    "not a beagle" and "a beagle?" a breed is mentioned, not given. Spelling mistakes do not count
    either, since `core.breeds.nearest` would make a breed of "black" or "water".
    """
    if len(caption) > _LONGEST_CAPTION or "?" in caption or "？" in caption:
        return None
    words = [word for word in caption.split() if not word.startswith(("@", "/"))]
    try:
        key = normalise(" ".join(words))
    except InputError:
        return None
    return key if key in labels or key in BREEDS else None


def _line(language: str, look: Look, labels: Sequence[str]) -> str:
    prediction = look.outcome
    if isinstance(prediction, Refusal):
        return refusal(language, prediction)
    best = prediction.breeds[0]
    line = texts.say(
        language,
        _LINES[prediction.verdict],
        breed=_short(title(best.breed)),
        percent=percent(language, best.probability),
    )
    return " ".join([line, *_notes(language, look, prediction, labels)])


def _notes(language: str, look: Look, prediction: Prediction, labels: Sequence[str]) -> list[str]:
    notes = []
    file = look.incoming.file
    if file is not None and file.preview == Preview.MOTION:
        notes.append(texts.say(language, "answer.still"))
    named = hint(look.incoming.text, labels)
    if named is not None:
        agreed = prediction.verdict != Verdict.NOT_A_DOG and named == prediction.breeds[0].breed
        if agreed:
            key = "answer.you_agree"
        else:
            key = "answer.you_say" if named in labels else "answer.you_say_new"
        notes.append(texts.say(language, key, breed=_short(title(named))))
    return notes


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
