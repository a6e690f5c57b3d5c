"""The longer messages: lists of breeds, privacy, what is held on a person, figures.

Each page is HTML with a keyboard, the same whether a command asked for it or a tap came back to
it. Owns how long lists are made to fit a message. Knows nothing of who may see which page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from itertools import groupby

from doggo.bot import buttons, texts
from doggo.bot.answers import percent
from doggo.bot.buttons import Keyboard
from doggo.bot.callback import Verb
from doggo.bot.scene import Scene
from doggo.bot.search import matches
from doggo.core.breeds import BREEDS, normalise, other_names, title
from doggo.core.chat import Consent
from doggo.core.errors import InputError

LIMIT = 4096
"""Characters of a message, after Telegram has read its HTML (sendMessage)."""

_FITS = 3500  # of a list, so that its title and the marks for bold fit as well
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")  # with which keys begin
_NEAR = 3
_LONGEST_ECHO = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A message: HTML and the buttons under it."""

    text: str
    keyboard: Keyboard = ()


def all_breeds(scene: Scene, prefix: str = "") -> Page:
    """List the model's breeds by first letter, or those that begin with `prefix`.

    If they do not fit one message, the first letters become buttons.
    """
    labels = scene.knowledge.labels
    if not labels:
        return Page(text=scene.say("refusal.no_model"))
    named = sorted((title(key), key) for key in labels)
    heading = scene.say("breeds.title", count=len(labels))
    letters = buttons.letters(sorted({name[0].lower() for name, _ in named} & _LETTERS))
    if prefix:
        return _beginning(scene, [name for name, _ in named], prefix, letters)
    groups = groupby((name for name, _ in named), key=lambda name: name[0])
    paragraphs = [f"<b>{escape(letter)}</b>  " + _joined(list(found)) for letter, found in groups]
    text = "\n\n".join([heading, *paragraphs])
    if len(text) > _FITS:
        return Page(text=f"{heading}\n\n{scene.say('breeds.choose')}", keyboard=letters)
    return Page(text=text)


def one_breed(scene: Scene, name: str) -> Page:
    """Say whether the model knows a breed, by any of its names; else which ones are near."""
    labels = scene.knowledge.labels
    if not name.strip():
        return Page(text=scene.say("breed.usage"))
    if not labels:
        return Page(text=scene.say("refusal.no_model"))
    try:
        key = normalise(name)
    except InputError:
        return Page(text=scene.say("breed.latin"))
    if key in labels or key in BREEDS:
        return about_breed(scene, key)
    lines = [scene.say("breed.unknown", name=_echo(name))]
    if near := matches(name, labels, _NEAR):
        lines.append(scene.say("breed.near", names=", ".join(map(title, near))))
    return Page(text="\n".join(lines))


def about_breed(scene: Scene, key: str) -> Page:
    """Say whether the model tells a breed apart, and its other names."""
    known = "breed.known" if key in scene.knowledge.labels else "breed.not_learnt"
    lines = [scene.say(known, breed=title(key))]
    if names := other_names(key):
        lines.append(scene.say("breed.also", names=", ".join(names)))
    return Page(text="\n".join(lines))


def privacy(scene: Scene, consent: Consent) -> Page:
    """Explain what becomes of photos and data; the buttons change the consent."""
    now = "yes" if consent == Consent.YES else "no"
    state = scene.say("privacy.now_yes" if consent == Consent.YES else "privacy.now_no")
    keyboard = buttons.consent(scene.language, Verb.PRIVACY, now)
    return Page(text=f"{scene.say('privacy.page')}\n\n{state}", keyboard=keyboard)


def my_data(scene: Scene) -> Page:
    """Show all that is kept of the person."""
    mine = scene.memory.remembered_by(scene.incoming.user_id)
    chosen = texts.languages().get(scene.person.language)
    text = scene.say(
        "mydata.page",
        predictions=mine.predictions,
        feedback=mine.feedback,
        first_day=_day(scene, mine.first_day),
        last_day=_day(scene, mine.last_day),
        language=chosen or scene.say("button.automatic"),
        consent=scene.say("word.yes" if scene.person.consent == Consent.YES else "word.no"),
    )
    return Page(text=text)


def stats(scene: Scene) -> Page:
    """Show the bot in figures."""
    totals, knowledge = scene.memory.totals(), scene.knowledge
    judged = totals.right + totals.wrong
    text = scene.say(
        "stats.page",
        model=knowledge.model_name or scene.say("word.none"),
        version=knowledge.model_version,
        people=totals.people,
        today=totals.photos_today,
        week=totals.photos_week,
        right=totals.right,
        wrong=totals.wrong,
        unknown=totals.unknown,
        share=_share(scene, totals.right, judged),
        top=", ".join(f"{title(key)} ({count})" for key, count in totals.top[:10])
        or scene.say("word.none"),
    )
    return Page(text=text)


def _beginning(scene: Scene, names: Sequence[str], prefix: str, letters: Keyboard) -> Page:
    wanted = prefix.strip().casefold()
    found = [name for name in names if name.casefold().startswith(wanted)]
    if not found:
        text = scene.say("breeds.none", letter=_echo(prefix))
        return Page(text=text, keyboard=letters)
    fitting = found
    while len(_joined(fitting)) > _FITS:
        fitting = fitting[: len(fitting) * 3 // 4]
    text = _joined(fitting)
    if len(fitting) < len(found):
        text = f"{text}\n\n{scene.say('breeds.more')}"
    return Page(text=text, keyboard=letters)


def _joined(names: Sequence[str]) -> str:
    return escape(", ".join(names), quote=False)


def _share(scene: Scene, part: int, whole: int) -> str:
    if part in (0, whole):  # here 0 and 100 % are counted, not estimated
        number = "0" if not part else "100"
        return scene.say("number.percent", number=number) if whole else scene.say("word.none")
    return percent(scene.language, part / whole)


def _day(scene: Scene, day: date | None) -> str:
    return scene.say("word.none") if day is None else day.isoformat()


def _echo(text: str) -> str:
    """Return the user's own words in a form that cannot disturb the message."""
    shown = "".join(c for c in " ".join(text.split()) if c.isprintable())
    return shown if len(shown) <= _LONGEST_ECHO else shown[: _LONGEST_ECHO - 1] + "…"
