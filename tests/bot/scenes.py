"""What tests of the conversation are made of: updates, predictions and a memory that remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from doggo.bot.conversation import Knowledge, MyData, Totals
from doggo.core.breeds import BREEDS
from doggo.core.chat import (
    ChatKind,
    FileRef,
    Incoming,
    Kind,
    Look,
    Person,
    Preview,
    Refusal,
    Remembered,
    Turn,
)
from doggo.core.records import BreedProbability, ModelRef, Prediction, Verdict

USER, OWNER, GROUP = 1001, 77, -100200
IDS = tuple(f"{number:032x}" for number in range(0xD06_0001, 0xD06_0020))
KNOWLEDGE = Knowledge(
    labels=BREEDS,
    username="doggo_test_bot",
    model_name="lite0-probe",
    model_version=7,
    owners=frozenset({OWNER}),
)
BEAGLE = (
    ("beagle", 0.871),
    ("english_foxhound", 0.064),
    ("walker_hound", 0.031),
    ("basset", 0.012),
    ("bluetick", 0.008),
    ("bloodhound", 0.005),
    ("redbone", 0.003),
    ("black-and-tan_coonhound", 0.002),
)
LOOK_ALIKES = (
    ("soft-coated_wheaten_terrier", 0.41),
    ("staffordshire_bullterrier", 0.38),
    ("american_staffordshire_terrier", 0.2),
    ("irish_terrier", 0.004),
)


@dataclass
class FakeMemory:
    """Remembers what turns told it, as the database will."""

    people: dict[int, Person] = field(default_factory=dict)
    told: dict[str, Remembered] = field(default_factory=dict)
    mine: MyData = field(default_factory=lambda: MyData(predictions=0, feedback=0))
    figures: Totals = field(
        default_factory=lambda: Totals(
            people=12, photos_today=34, photos_week=205, right=30, wrong=10, unknown=4,
            top=(("beagle", 21), ("pug", 17)),
        )
    )  # fmt: skip

    def person(self, user_id: int) -> Person:
        return self.people.get(user_id, Person())

    def remembered(self, prediction_id: str) -> Remembered | None:
        return self.told.get(prediction_id)

    def remembered_by(self, user_id: int) -> MyData:
        return self.mine

    def totals(self) -> Totals:
        return self.figures

    def take(self, turn: Turn, user_id: int = USER) -> Turn:
        """Make a turn take effect."""
        if turn.person is not None:
            self.people[user_id] = turn.person
        if turn.forget:
            self.people.pop(user_id, None)
        self.told |= {one.prediction_id: one for one in turn.told}
        return turn


def incoming(
    kind: Kind,
    text: str = "",
    *,
    command: str = "",
    language: str = "en",
    chat_kind: ChatKind = ChatKind.PRIVATE,
    user_id: int = USER,
    message_id: int = 5,
    thread_id: int | None = None,
) -> Incoming:
    return Incoming(
        update_id=1,
        kind=kind,
        chat_id=GROUP if chat_kind == ChatKind.GROUP else user_id,
        chat_kind=ChatKind.NONE if kind == Kind.SEARCH else chat_kind,
        user_id=user_id,
        language=language,
        message_id=0 if kind in (Kind.SEARCH, Kind.LEFT, Kind.JOINED) else message_id,
        thread_id=thread_id,
        command=command,
        text=text,
        callback_id="123456789" if kind in (Kind.TAP, Kind.SEARCH) else "",
    )


def prediction(
    breeds: Sequence[tuple[str, float]] = BEAGLE,
    verdict: Verdict = Verdict.BREED,
    number: int = 0,
) -> Prediction:
    return Prediction(
        prediction_id=IDS[number],
        model=ModelRef(name="lite0-probe", version=7, sha256="0" * 64),
        verdict=verdict,
        breeds=tuple(BreedProbability(breed=key, probability=p) for key, p in breeds),
        dog_mass=0.9,
        latency_ms=12.0,
    )


def look(
    outcome: Prediction | Refusal,
    caption: str = "",
    *,
    language: str = "en",
    chat_kind: ChatKind = ChatKind.PRIVATE,
    preview: Preview = Preview.NONE,
    message_id: int = 5,
    thread_id: int | None = None,
) -> Look:
    photo = incoming(
        Kind.PHOTO,
        caption,
        language=language,
        chat_kind=chat_kind,
        message_id=message_id,
        thread_id=thread_id,
    )
    return Look(
        incoming=replace(photo, file=FileRef(file_id="f", preview=preview)), outcome=outcome
    )


def album(language: str = "en", chat_kind: ChatKind = ChatKind.PRIVATE) -> list[Look]:
    """Five photos: sure, unsure, no dog, and two without a prediction."""
    outcomes: list[Prediction | Refusal] = [
        prediction(),
        prediction(LOOK_ALIKES, Verdict.UNSURE, 1),
        Refusal.BROKEN,
        prediction(BEAGLE, Verdict.NOT_A_DOG, 2),
        Refusal.TOO_BIG,
    ]
    return [
        look(outcome, language=language, chat_kind=chat_kind, message_id=5 + place)
        for place, outcome in enumerate(outcomes)
    ]


def some_data() -> MyData:
    return MyData(
        predictions=3, feedback=2, first_day=date(2026, 11, 1), last_day=date(2026, 11, 23)
    )
