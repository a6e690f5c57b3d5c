"""The inbox and the outbox on both databases: stored once, forgotten when delivered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Connection, select

from doggo.storage import replies, updates
from doggo.storage.engine import open_chat_database, replies_table, updates_table
from doggo.storage.replies import NewReply, ReplyRow
from doggo.storage.updates import State, UpdateRow

NOW = 1_700_000_000.0
CHAT = 77_001_002


@pytest.fixture
def connection(chat_database: str) -> Iterator[Connection]:
    engine = open_chat_database(chat_database)
    with engine.begin() as opened:
        yield opened
    engine.dispose()


def a_row(update_id: int, chat_id: int = CHAT) -> UpdateRow:
    payload = {"text": "beagle", "chat_id": chat_id}
    return UpdateRow(
        update_id=update_id, kind="photo", chat_id=chat_id, payload=payload, received_at=NOW
    )


def a_reply(update_id: int, chat_id: int = CHAT) -> NewReply:
    return NewReply(
        update_id=update_id,
        chat_id=chat_id,
        is_group=False,
        method="sendMessage",
        arguments={"chat_id": chat_id, "text": "hello", "reply_parameters": {"message_id": 1}},
        expires_at=NOW + 100,
    )


def state(connection: Connection, update_id: int) -> object:
    query = select(updates_table).where(updates_table.c.update_id == update_id)
    return connection.execute(query).one()


def answered(connection: Connection, update_id: int, count: int = 1) -> list[ReplyRow]:
    updates.store(connection, [a_row(update_id)])
    rows = replies.add(connection, [a_reply(update_id)] * count, NOW)
    updates.answered(connection, [update_id], NOW)
    return rows


def test_an_update_is_stored_once(connection: Connection) -> None:
    assert updates.store(connection, [a_row(1), a_row(2)]) == 2
    assert updates.store(connection, [a_row(2), a_row(3)]) == 1
    assert updates.note(connection, 3, "unknown_kind", NOW) == 0
    assert updates.note(connection, 4, "unknown_kind", NOW) == 1
    assert updates.waiting(connection, above=None, limit=9) == [a_row(1), a_row(2), a_row(3)]
    assert updates.waiting(connection, above=1, limit=1) == [a_row(2)]
    assert updates.count_waiting(connection) == 3


def test_only_the_number_is_left_once_the_last_reply_is_sent(connection: Connection) -> None:
    first, second = answered(connection, 1, count=2)
    replies.sent(connection, first, NOW)
    assert state(connection, 1).payload is not None
    replies.sent(connection, second, NOW)
    left = state(connection, 1)
    assert (left.state, left.chat_id, left.payload) == (State.DONE, None, None)
    assert updates.store(connection, [a_row(1)]) == 0


def test_replies_come_back_in_order(connection: Connection) -> None:
    rows = [*answered(connection, 1, count=2), *answered(connection, 2)]
    assert replies.waiting(connection, above=0, limit=9) == rows
    assert replies.waiting(connection, above=rows[0].reply_id, limit=1) == [rows[1]]
    replies.postpone(connection, rows[0], until=NOW + 5)
    [first, *_] = replies.waiting(connection, above=0, limit=9)
    assert first == replace(rows[0], attempts=1, not_before=NOW + 5)


def test_of_what_is_given_up_only_number_and_reason_are_left(connection: Connection) -> None:
    updates.store(connection, [a_row(1), a_row(2)])
    updates.begin(connection, [1])
    updates.postpone(connection, [1], until=NOW + 1, error="KeyError", failed=True)
    updates.park(connection, [1], error="KeyError in f:3", now=NOW)
    [letter] = updates.dead_letters(connection)
    assert (letter.update_id, letter.attempts) == (1, 2)
    assert (state(connection, 1).chat_id, state(connection, 1).payload) == (None, None)
    assert letter.error == "KeyError in f:3"
    assert [row.update_id for row in updates.waiting(connection, above=None, limit=9)] == [2]


def test_a_reply_that_can_never_be_sent_parks_its_update(connection: Connection) -> None:
    [row] = answered(connection, 1)
    replies.given_up(connection, row, error="sendMessage: chat is odd", now=NOW)
    [letter] = updates.dead_letters(connection)
    assert letter.error == "sendMessage: chat is odd"
    assert not replies.waiting(connection, above=0, limit=9)


def test_a_chat_that_does_not_want_us_is_left_alone(connection: Connection) -> None:
    answered(connection, 1, count=3)
    updates.store(connection, [a_row(2, chat_id=5)])
    replies.add(connection, [a_reply(2, chat_id=5)], NOW)
    assert replies.drop_chat(connection, CHAT, NOW) == 3
    assert [row.chat_id for row in replies.waiting(connection, above=0, limit=9)] == [5]
    assert state(connection, 1).chat_id is None


def test_a_group_that_moved_gets_its_replies_there(connection: Connection) -> None:
    answered(connection, 1)
    replies.move_chat(connection, CHAT, -100123)
    [row] = replies.waiting(connection, above=0, limit=9)
    assert row.chat_id == -100123
    assert row.arguments == {"chat_id": -100123, "text": "hello"}


def test_a_day_later_nothing_but_numbers_is_left_and_a_week_later_not_even_those(
    connection: Connection,
) -> None:
    updates.store(connection, [a_row(1)])  # never answered
    answered(connection, 2)  # never delivered
    updates.store(connection, [a_row(3)])
    updates.park(connection, [3], error="KeyError", now=NOW)
    later = NOW + updates.KEEP_PAYLOAD_S + 1
    assert len(replies.forget_old(connection, later)) == 1
    updates.forget_old(connection, later)
    for update_id in (1, 2, 3):
        left = state(connection, update_id)
        assert (left.state, left.chat_id, left.payload) == (State.PARKED, None, None)
    assert len(updates.dead_letters(connection)) == 3
    updates.forget_old(connection, NOW + updates.KEEP_NUMBER_S + 1)
    assert not connection.execute(select(updates_table)).all()
    assert not connection.execute(select(replies_table)).all()


def test_a_text_with_odd_characters_comes_back(connection: Connection) -> None:
    odd = replace(a_row(1), payload={"text": "Дворняга 🐕 “x” \\ ' \" \x01", "n": 2**62})
    updates.store(connection, [odd])
    assert updates.waiting(connection, above=None, limit=1) == [odd]
