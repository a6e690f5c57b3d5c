"""What a turn of the conversation rests on: who asks, what is remembered, what the model knows.

Owns the port to the bot's memory and the records that come out of it. Knows nothing of how they
are stored; whoever implements `Memory` binds it to one transaction, so that a turn sees one state.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Protocol

from doggo.bot import texts
from doggo.core.chat import ChatKind, Incoming, Person, Remembered


@dataclass(frozen=True, kw_only=True, slots=True)
class MyData:
    """All that is kept of one user, counted.

    Attributes:
        predictions: answers that are remembered for the buttons under them.
        feedback: predictions on which the user said something.
        first_day, last_day: of what is counted here; None if nothing is.
    """

    predictions: int
    feedback: int
    first_day: date | None = None
    last_day: date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """The bot in figures, for its owner.

    Attributes:
        photos_today, photos_week: answered since midnight UTC, and in the last 7 days.
        right, wrong: predictions whose user named the best breed, or another one.
        unknown: predictions whose user does not know either.
        top: keys of the breeds named most often by the bot, with how often; most first.
    """

    people: int
    photos_today: int
    photos_week: int
    right: int
    wrong: int
    unknown: int
    top: tuple[tuple[str, int], ...] = ()


class Memory(Protocol):
    """What a turn may look up."""

    def person(self, user_id: int) -> Person:
        """Return what is known of a user; a new `Person` if nothing is."""
        ...

    def remembered(self, prediction_id: str) -> Remembered | None:
        """Return a prediction that was told to anybody; None if it is not, or no longer, kept."""
        ...

    def remembered_by(self, user_id: int) -> MyData:
        """Count what is kept of a user."""
        ...

    def totals(self) -> Totals:
        """Count what is kept of everybody."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Knowledge:
    """What the bot is, the same for everybody.

    Attributes:
        labels: keys that the model in service tells apart; empty if there is no model.
        model_name, model_version: of the model in service; empty and 0 if there is none.
        username: the bot's at Telegram, without `@`.
        owners: ids of the users who may see /stats.
        searchable: whether inline mode is on (`supports_inline_queries` of getMe). Without it a
            button that searches would do nothing, so there is none.
    """

    labels: tuple[str, ...]
    username: str
    model_name: str = ""
    model_version: int = 0
    owners: frozenset[int] = frozenset()
    searchable: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One update, with everything that its answer may depend on."""

    incoming: Incoming
    person: Person
    memory: Memory
    knowledge: Knowledge

    @classmethod
    def of(cls, incoming: Incoming, memory: Memory, knowledge: Knowledge) -> Scene:
        """Look the person up and set the scene."""
        person = memory.person(incoming.user_id)
        return cls(incoming=incoming, person=person, memory=memory, knowledge=knowledge)

    @property
    def private(self) -> bool:
        """Whether nobody else reads along."""
        return self.incoming.chat_kind == ChatKind.PRIVATE

    @property
    def language(self) -> str:
        """The code of the language to answer in."""
        return texts.language_for(self.person.language, self.incoming.language)

    def say(self, key: str, /, **values: str | int) -> str:
        """Return a text of the catalogue in the person's language."""
        return texts.say(self.language, key, **values)
