"""What a tapped button leads to.

Owns the way from an answer to what the user says of it, and the answers to the bot's own
questions. Every tap is answered, whatever it carries. In a group the buttons stay for everybody:
one member's answer does not close the question for the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from doggo.bot import buttons, pages
from doggo.bot.buttons import Keyboard
from doggo.bot.callback import Tap, Verb, parse
from doggo.bot.commands import change_language
from doggo.bot.replies import answer_tap, edit_buttons, edit_text
from doggo.bot.scene import Scene
from doggo.core.breeds import title
from doggo.core.chat import Consent, Feedback, Remembered, Reply, Turn
from doggo.core.records import Verdict


def answer(scene: Scene) -> Turn:
    """Answer a tap."""
    tap = parse(scene.incoming.text)
    if tap is None:
        return _toast(scene, scene.say("toast.old_button"))
    if not tap.prediction_id:
        return _CHOICES[tap.verb](scene, tap.word)
    remembered = scene.memory.remembered(tap.prediction_id)
    if remembered is None:
        return _toast(scene, scene.say("toast.too_old"))
    if tap.verb in (Verb.RIGHT, Verb.PICK, Verb.UNKNOWN):
        return _feedback(scene, tap, remembered)
    return _shown(scene, tap.verb, remembered)


def _feedback(scene: Scene, tap: Tap, remembered: Remembered) -> Turn:
    breed: str | None = None
    if tap.verb != Verb.UNKNOWN:
        no_breed = tap.verb == Verb.RIGHT and remembered.verdict == Verdict.NOT_A_DOG
        if no_breed or tap.place >= len(remembered.breeds):
            return _toast(scene, scene.say("toast.old_button"))
        breed = remembered.breeds[tap.place]
    given = Feedback(prediction_id=remembered.prediction_id, breed=breed, source="tap")
    if breed is None:
        toast = scene.say("toast.noted_unknown")
    else:
        toast = scene.say("toast.noted", breed=_cut(title(breed)))
    if scene.private:
        keyboard = buttons.thanks(scene.language, remembered, breed)
    else:
        keyboard = _first(scene, remembered)
    return Turn(replies=_with_buttons(scene, keyboard, toast), feedback=(given,))


def _shown(scene: Scene, verb: Verb, remembered: Remembered) -> Turn:
    toast = ""
    if verb == Verb.WRONG:
        searchable = scene.knowledge.searchable
        keyboard = buttons.picks(scene.language, remembered, searchable=searchable)
        toast = scene.say("toast.which")
    elif verb == Verb.NUMBERS:
        keyboard = _first(scene, remembered)
    else:
        keyboard = buttons.question(scene.language, remembered)
    return Turn(replies=_with_buttons(scene, keyboard, toast))


def _first(scene: Scene, remembered: Remembered) -> Keyboard:
    """Return the buttons as they were under the fresh answer."""
    if remembered.album:
        return buttons.numbers(remembered.album)
    return buttons.question(scene.language, remembered)


def _consent(scene: Scene, word: str) -> Turn:
    consent = Consent.YES if word == "yes" else Consent.NO
    text = scene.say("consent.yes" if consent == Consent.YES else "consent.no")
    return _changed(replace(scene, person=replace(scene.person, consent=consent)), text)


def _privacy(scene: Scene, word: str) -> Turn:
    consent = Consent.YES if word == "yes" else Consent.NO
    page = pages.privacy(scene, consent)
    changed = replace(scene, person=replace(scene.person, consent=consent))
    return _changed(changed, page.text, page.keyboard)


def _language(scene: Scene, word: str) -> Turn:
    changed = change_language(scene, word)
    if changed is None:
        return _toast(scene, scene.say("toast.old_button"))
    return _changed(*changed)


def _forget(scene: Scene, word: str) -> Turn:
    if word == "yes":
        return Turn(replies=_with_text(scene, scene.say("forget.done")), forget=True)
    return Turn(replies=_with_text(scene, scene.say("forget.kept")))


def _letter(scene: Scene, word: str) -> Turn:
    page = pages.all_breeds(scene, word)
    return Turn(replies=_with_text(scene, page.text, page.keyboard))


_CHOICES: dict[Verb, Callable[[Scene, str], Turn]] = {
    Verb.CONSENT: _consent,
    Verb.PRIVACY: _privacy,
    Verb.LANGUAGE: _language,
    Verb.FORGET: _forget,
    Verb.LETTER: _letter,
}


def _changed(scene: Scene, text: str, keyboard: Keyboard = ()) -> Turn:
    """Keep what the person chose; the message shows it, but not to a group."""
    toast = scene.say("toast.saved")
    if not scene.private:
        return Turn(replies=(answer_tap(scene.incoming, toast),), person=scene.person)
    return Turn(replies=_with_text(scene, text, keyboard, toast), person=scene.person)


def _toast(scene: Scene, text: str) -> Turn:
    return Turn(replies=(answer_tap(scene.incoming, text),))


def _with_text(
    scene: Scene, text: str, keyboard: Keyboard = (), toast: str = ""
) -> tuple[Reply, ...]:
    answered = answer_tap(scene.incoming, toast)
    if not scene.incoming.message_id:  # Telegram no longer lets us edit it
        return (answered,)
    return (answered, edit_text(scene.incoming, text, keyboard))


def _with_buttons(scene: Scene, keyboard: Keyboard, toast: str) -> tuple[Reply, ...]:
    answered = answer_tap(scene.incoming, toast)
    if not scene.incoming.message_id:
        return (answered,)
    return (answered, edit_buttons(scene.incoming, keyboard))


def _cut(name: str) -> str:
    return name if len(name) <= 60 else name[:59] + "…"
