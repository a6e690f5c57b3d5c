"""The conversation, turn by turn: what one update, or one album, leads to.

Owns which part of the bot answers what, and what is asked of a person when. Pure: all that a
turn looks up comes through `Memory`, and all that it changes is in the `Turn` it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from doggo.bot import answers, buttons, commands, pages, search, taps
from doggo.bot.buttons import Keyboard
from doggo.bot.callback import Verb
from doggo.bot.replies import send
from doggo.bot.scene import Knowledge, Memory, MyData, Scene, Totals
from doggo.core.breeds import title
from doggo.core.chat import (
    Consent,
    Feedback,
    Incoming,
    Kind,
    Look,
    Refusal,
    Remembered,
    Turn,
)

__all__ = ["Knowledge", "Memory", "MyData", "Totals", "answer", "answer_photos"]

REMEMBERED = 8
"""Breeds that are remembered of a prediction: those shown, and those offered after "wrong"."""


def answer_photos(looks: Sequence[Look], memory: Memory, knowledge: Knowledge) -> Turn:
    """Answer one photo, or all photos of an album at once.

    Args:
        looks: at least one, of one user and chat, in the order in which they were sent.

    Returns:
        The answer; what to remember of it; the captions that named a breed, as feedback; in a
        private chat, after the first prediction for a person, the question for consent.
    """
    scene = Scene.of(looks[0].incoming, memory, knowledge)
    told = _told(looks)
    if len(looks) == 1:
        text = answers.for_one(scene.language, looks[0], knowledge.labels)
    else:
        text = answers.for_album(scene.language, looks, knowledge.labels)
    feedback = tuple(given for look in looks if (given := _captioned(look, knowledge)))
    keyboard = _keyboard(scene, told, feedback)
    quote = len(looks) > 1 or not told
    turn = Turn(
        replies=(send(scene.incoming, text, keyboard, quote=quote),),
        told=told,
        feedback=feedback,
    )
    if told and scene.private and scene.person.consent == Consent.UNASKED:
        turn = _with_question(turn, scene)
    return _unblocked(turn, scene)


def answer(incoming: Incoming, memory: Memory, knowledge: Knowledge) -> Turn:
    """Answer anything but a photo."""
    scene = Scene.of(incoming, memory, knowledge)
    turn = _ANSWERS[incoming.kind](scene)
    return turn if incoming.kind == Kind.LEFT else _unblocked(turn, scene)


def _told(looks: Sequence[Look]) -> tuple[Remembered, ...]:
    album: tuple[str, ...] = ()
    if len(looks) > 1:
        album = tuple(
            "" if isinstance(look.outcome, Refusal) else look.outcome.prediction_id
            for look in looks
        )
    return tuple(
        Remembered(
            prediction_id=look.outcome.prediction_id,
            model_version=look.outcome.model.version,
            verdict=look.outcome.verdict.value,
            breeds=tuple(guess.breed for guess in look.outcome.breeds[:REMEMBERED]),
            album=album,
        )
        for look in looks
        if not isinstance(look.outcome, Refusal)
    )


def _captioned(look: Look, knowledge: Knowledge) -> Feedback | None:
    if isinstance(look.outcome, Refusal):
        return None
    breed = answers.hint(look.incoming.text, knowledge.labels)
    if breed is None:
        return None
    return Feedback(prediction_id=look.outcome.prediction_id, breed=breed, source="caption")


def _keyboard(scene: Scene, told: Sequence[Remembered], feedback: Sequence[Feedback]) -> Keyboard:
    if not told:
        return buttons.NONE
    first = told[0]
    if first.album:
        return buttons.numbers(first.album)
    if feedback:  # the caption has answered the question already
        return buttons.thanks(scene.language, first, feedback[0].breed)
    return buttons.question(scene.language, first)


def _with_question(turn: Turn, scene: Scene) -> Turn:
    question = send(
        scene.incoming,
        scene.say("consent.ask"),
        buttons.consent(scene.language, Verb.CONSENT),
    )
    asked = replace(scene.person, consent=Consent.ASKED)
    return replace(turn, replies=(*turn.replies, question), person=asked)


def _unblocked(turn: Turn, scene: Scene) -> Turn:
    """Note that a person who writes in private has not blocked the bot."""
    person = turn.person or scene.person
    if not scene.private or not person.blocked or turn.forget:
        return turn
    return replace(turn, person=replace(person, blocked=False))


def _text(scene: Scene) -> Turn:
    chosen = search.said(scene.incoming.text, scene.knowledge.labels)
    if chosen is None:
        text = scene.say("talk.how") if scene.private else commands.how_in_groups(scene).text
        return Turn(replies=(send(scene.incoming, text),))
    if not chosen.prediction_id:
        if not scene.private:
            return Turn()  # somebody shows a breed to the group
        page = pages.about_breed(scene, chosen.breed)
        return Turn(replies=(send(scene.incoming, page.text),))
    if scene.memory.remembered(chosen.prediction_id) is None:
        return Turn(replies=(send(scene.incoming, scene.say("talk.too_old")),))
    noted = scene.say("talk.noted", breed=title(chosen.breed))
    given = Feedback(prediction_id=chosen.prediction_id, breed=chosen.breed, source="search")
    return Turn(replies=(send(scene.incoming, noted),), feedback=(given,))


def _unfit(scene: Scene) -> Turn:
    return Turn(replies=(send(scene.incoming, scene.say("talk.unfit"), quote=True),))


def _left(scene: Scene) -> Turn:
    # A group that removes the bot says nothing about the member who did it.
    if not scene.private:
        return Turn()
    return Turn(person=replace(scene.person, blocked=True))


def _joined(scene: Scene) -> Turn:
    if scene.private:
        return Turn()  # /start follows
    return Turn(replies=(send(scene.incoming, commands.how_in_groups(scene).text),))


def _photo(scene: Scene) -> Turn:
    raise AssertionError("photos are answered by answer_photos")


_ANSWERS: dict[Kind, Callable[[Scene], Turn]] = {
    Kind.PHOTO: _photo,
    Kind.UNFIT: _unfit,
    Kind.COMMAND: commands.answer,
    Kind.TEXT: _text,
    Kind.TAP: taps.answer,
    Kind.SEARCH: search.answer,
    Kind.LEFT: _left,
    Kind.JOINED: _joined,
}
