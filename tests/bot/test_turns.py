"""What a turn decides becomes true together with "answered", on both databases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select
from tests.bot.scenes import IDS, KNOWLEDGE, incoming, prediction

from doggo.bot.callback import Tap, Verb, encode
from doggo.bot.inbox import to_payload
from doggo.bot.scene import Knowledge
from doggo.bot.turns import BoundMemory, Turns
from doggo.core.chat import ChatKind, Consent, Incoming, Kind, Look, Refusal
from doggo.storage import people, replies, updates
from doggo.storage.engine import (
    feedback_table,
    open_chat_database,
    people_table,
    told_table,
    updates_table,
)
from doggo.storage.people import Pseudonyms
from doggo.storage.updates import State, UpdateRow

NOW = 1_790_000_000.0
NAMES = Pseudonyms("ab" * 32)
USER = 1001


@pytest.fixture
def connection(chat_database: str) -> Iterator[Connection]:
    engine = open_chat_database(chat_database)
    with engine.begin() as opened:
        yield opened
    engine.dispose()


@pytest.fixture
def turns() -> Turns:
    return Turns(NAMES, lambda: KNOWLEDGE, clock=lambda: NOW)


def store(connection: Connection, *found: Incoming) -> None:
    updates.store(
        connection,
        [
            UpdateRow(
                update_id=one.update_id,
                kind=one.kind,
                chat_id=one.chat_id,
                payload=to_payload(one),
                received_at=NOW,
            )
            for one in found
        ],
    )


def states(connection: Connection) -> list[str]:
    query = select(updates_table.c.state).order_by(updates_table.c.update_id)
    return list(connection.execute(query).scalars())


def count(connection: Connection, table: object) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def an_update(kind: Kind, update_id: int, text: str = "", **fields: Any) -> Incoming:
    return replace(incoming(kind, text), update_id=update_id, **fields)


def a_photo(update_id: int, **fields: Any) -> Incoming:
    return an_update(Kind.PHOTO, update_id, **fields)


def a_look(one: Incoming, number: int = 0) -> Look:
    return Look(incoming=one, outcome=prediction(number=number))


def test_replies_memory_and_answered_come_together(connection: Connection, turns: Turns) -> None:
    photo = a_photo(1)
    store(connection, photo)
    rows = turns.finish(connection, [photo], [a_look(photo)])
    assert rows[0].method == "sendMessage"
    assert {row.update_id for row in rows} == {1}
    assert states(connection) == [State.ANSWERED]
    memory = BoundMemory(connection, NAMES, NOW)
    remembered = memory.remembered(IDS[0])
    assert remembered is not None
    assert remembered.breeds[0] == "beagle"
    assert memory.remembered_by(USER).predictions == 1
    assert memory.remembered_by(USER).first_day == date(2026, 9, 21)
    assert memory.totals().photos_today == 1


def test_of_an_album_only_the_first_keeps_its_fields_until_delivery(
    connection: Connection, turns: Turns
) -> None:
    album = [a_photo(n, album="a") for n in (1, 2, 3)]
    store(connection, *album)
    looks = [a_look(one, place) for place, one in enumerate(album)]
    rows = turns.finish(connection, album, looks)
    assert states(connection) == [State.ANSWERED, State.DONE, State.DONE]
    for row in rows:
        replies.sent(connection, row, NOW)
    assert states(connection) == [State.DONE] * 3


def test_a_turn_without_a_reply_leaves_a_number_alone(connection: Connection, turns: Turns) -> None:
    left = an_update(Kind.LEFT, 1)
    store(connection, left)
    assert turns.finish(connection, [left], []) == []
    row = connection.execute(select(updates_table)).one()
    assert (row.state, row.chat_id, row.payload) == (State.DONE, None, None)
    assert people.find_person(connection, NAMES.of(USER)).blocked


def test_a_refusal_is_answered_and_nothing_is_remembered(
    connection: Connection, turns: Turns
) -> None:
    photo = a_photo(1)
    store(connection, photo)
    assert turns.finish(connection, [photo], [Look(incoming=photo, outcome=Refusal.BROKEN)])
    assert count(connection, told_table) == 0


def test_a_tap_is_answered_while_somebody_waits_and_kept(
    connection: Connection, turns: Turns
) -> None:
    photo = a_photo(1)
    tap = an_update(Kind.TAP, 2, encode(Tap(verb=Verb.RIGHT, prediction_id=IDS[0])))
    store(connection, photo, tap)
    turns.finish(connection, [photo], [a_look(photo)])
    rows = turns.finish(connection, [tap], [])
    toast = next(row for row in rows if row.method == "answerCallbackQuery")
    assert NOW < toast.expires_at < NOW + 60
    assert BoundMemory(connection, NAMES, NOW).totals().right == 1


def test_forgetting_erases_the_person_and_nobody_else(connection: Connection, turns: Turns) -> None:
    other = a_photo(2, user_id=2002, chat_id=2002)
    photo, tap = a_photo(1), an_update(Kind.TAP, 3, "1:forget:yes")
    store(connection, photo, other, tap)
    turns.finish(connection, [photo], [a_look(photo)])
    turns.finish(connection, [other], [a_look(other, 1)])
    assert people.find_person(connection, NAMES.of(USER)).consent is Consent.ASKED
    rows = turns.finish(connection, [tap], [])
    assert rows, "it is not said"
    for table in (told_table, people_table, feedback_table):
        person = select(func.count()).where(table.c.person == NAMES.of(USER))
        assert connection.execute(person).scalar_one() == 0
    assert people.kept_of(connection, NAMES.of(2002)).predictions == 1


def test_of_a_group_that_removed_us_nothing_is_kept(connection: Connection, turns: Turns) -> None:
    turns.blocked(connection, -100_200)
    assert count(connection, people_table) == 0
    turns.blocked(connection, USER)
    assert people.find_person(connection, NAMES.of(USER)).blocked


def test_replies_to_a_group_keep_its_limit(connection: Connection, turns: Turns) -> None:
    photo = a_photo(1, chat_id=-100_200, chat_kind=ChatKind.GROUP)
    store(connection, photo)
    rows = turns.finish(connection, [photo], [a_look(photo)])
    assert {(row.chat_id, row.is_group) for row in rows} == {(-100_200, True)}


def test_an_error_leaves_everything_as_it_was(chat_database: str) -> None:
    def broken() -> object:
        raise RuntimeError("no knowledge")

    engine = open_chat_database(chat_database)
    turns = Turns(NAMES, broken, clock=lambda: NOW)  # type: ignore[arg-type]
    photo = a_photo(1)
    with engine.begin() as connection:
        store(connection, photo)
    with pytest.raises(RuntimeError), engine.begin() as connection:
        turns.finish(connection, [photo], [a_look(photo)])
    with engine.begin() as connection:
        assert states(connection) == [State.WAITING]
        assert replies.waiting(connection, above=0, limit=9) == []
    engine.dispose()


ASKED = Incoming(
    update_id=7,
    kind=Kind.COMMAND,
    chat_id=1,
    chat_kind=ChatKind.PRIVATE,
    user_id=1,
    command="help",
)


def test_what_was_answered_is_not_answered_again(tmp_path: Path) -> None:
    engine = open_chat_database(f"sqlite:///{tmp_path / 'bot.db'}")
    turns = Turns(Pseudonyms("00" * 32), lambda: Knowledge(labels=("beagle",), username="bot"))
    row = UpdateRow(
        update_id=7, kind="command", chat_id=1, payload=to_payload(ASKED), received_at=time.time()
    )
    with engine.begin() as connection:
        updates.store(connection, [row])
        first = turns.finish(connection, [ASKED], [])
        again = turns.finish(connection, [ASKED], [])
        assert len(first) == 1
        assert again == first  # to be sent: the sender may never have heard of it
        assert replies.waiting(connection, above=0, limit=9) == first
        replies.sent(connection, first[0], time.time())
        assert turns.finish(connection, [ASKED], []) == []
    engine.dispose()
