"""What is kept of people: under a keyed hash, shown and erased when they ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from doggo.core.chat import Consent, Feedback, Person, Remembered
from doggo.storage import people
from doggo.storage.engine import chat_metadata, open_chat_database
from doggo.storage.people import Kept, Pseudonyms

NOW = 1_700_000_000.0
KEY = "ab" * 32


@pytest.fixture
def connection(chat_database: str) -> Iterator[Connection]:
    engine = open_chat_database(chat_database)
    with engine.begin() as opened:
        yield opened
    engine.dispose()


def told(prediction_id: str, *breeds: str, verdict: str = "breed") -> Remembered:
    return Remembered(prediction_id=prediction_id, model_version=3, verdict=verdict, breeds=breeds)


def said(prediction_id: str, breed: str | None) -> Feedback:
    return Feedback(prediction_id=prediction_id, breed=breed, source="tap")


def test_a_pseudonym_depends_on_the_key_and_the_user() -> None:
    ours = Pseudonyms(KEY)
    assert ours.of(5) == Pseudonyms(KEY).of(5)
    assert len({ours.of(5), ours.of(6), Pseudonyms("cd" * 32).of(5)}) == 3


def test_a_stranger_is_nobody_and_what_is_kept_comes_back(connection: Connection) -> None:
    assert people.find_person(connection, "a") == Person()
    known = Person(language="de", consent=Consent.YES)
    people.keep_person(connection, "a", known)
    people.set_blocked(connection, "a", blocked=True)
    assert people.find_person(connection, "a") == Person(
        language="de", consent=Consent.YES, blocked=True
    )
    people.keep_person(connection, "a", known)
    assert people.find_person(connection, "a") == known


def test_a_prediction_is_remembered_until_its_person_wants_it_forgotten(
    connection: Connection,
) -> None:
    people.keep_person(connection, "a", Person(language="ru"))
    people.remember(connection, "a", [told("p1", "pug", "boxer"), told("p2", "boxer")], NOW)
    people.remember(connection, "b", [told("p3", "pug")], NOW + 9)
    people.add_feedback(connection, "a", [said("p1", "pug")], NOW)
    people.add_feedback(connection, "a", [said("p1", None)], NOW)
    assert people.find_told(connection, "p1") == told("p1", "pug", "boxer")
    assert people.kept_of(connection, "a") == Kept(
        predictions=2, feedback=1, first_at=NOW, last_at=NOW
    )
    people.forget_person(connection, "a")
    assert people.kept_of(connection, "a") == Kept(
        predictions=0, feedback=0, first_at=None, last_at=None
    )
    assert people.find_person(connection, "a") == Person()
    assert people.find_told(connection, "p1") is None
    assert people.find_told(connection, "p3") == told("p3", "pug")


def test_the_owner_sees_counts(connection: Connection) -> None:
    people.keep_person(connection, "a", Person(consent=Consent.YES))
    people.keep_person(connection, "b", Person(blocked=True))
    people.remember(connection, "a", [told("p1", "pug"), told("p2", "boxer", "pug")], NOW)
    people.remember(connection, "b", [told("p3", "pug")], NOW - 86_400)
    cat = told("p4", "cat", verdict="not_a_dog")
    people.remember(connection, "b", [cat], NOW - 8 * 86_400)
    people.add_feedback(connection, "a", [said("p1", "pug"), said("p2", "pug")], NOW)
    people.add_feedback(connection, "b", [said("p3", None)], NOW)
    counts = people.count_all(connection, NOW)
    assert (counts.people, counts.photos_today, counts.photos_week) == (2, 2, 3)
    assert (counts.right, counts.wrong, counts.unknown) == (1, 1, 1)
    assert counts.top_breeds == (("pug", 2), ("boxer", 1))


def test_no_column_is_for_a_name_or_an_id_of_a_person() -> None:
    kept = {
        f"{table.name}.{column.name}" for table in chat_metadata.sorted_tables for column in table.c
    }
    assert not [name for name in kept if "user" in name or "username" in name]
    assert {name for name in kept if name.endswith("chat_id")} == {
        "updates.chat_id",
        "replies.chat_id",
    }
