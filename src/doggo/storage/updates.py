"""The inbox: every update by its number, and what its answer needs until it is delivered.

    waiting ─▶ answered (its replies are in the outbox) ─▶ done
       └─▶ parked (a person must look)
    (of the last two only the number is left)

Owns the rows and their states. Each function works on an open transaction. Knows nothing of what
is inside a payload.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Row,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from doggo.storage.engine import replies_table, updates_table

KEEP_PAYLOAD_S = 24 * 3600.0
"""Longest time that anything but an update's number is kept."""

KEEP_NUMBER_S = 7 * 24 * 3600.0
"""Numbers start anew at random after a week of silence; until then they tell a repetition."""

Payload = dict[str, Any]  # any JSON object
_columns = updates_table.c


class State(StrEnum):
    """Where an update is on its way."""

    WAITING = "waiting"
    ANSWERED = "answered"
    PARKED = "parked"
    DONE = "done"


# Built once: building a statement takes longer than carrying it out.
_INSERT = {
    name: dialect.insert(updates_table).on_conflict_do_nothing().returning(_columns.update_id)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
_ANSWERED = (
    update(updates_table)
    .where(_columns.update_id == bindparam("number"))
    .values(state=State.ANSWERED.value, finished_at=bindparam("now"))
)
_DELIVERED = (
    update(updates_table)
    .where(
        _columns.update_id == bindparam("number"),
        _columns.state == State.ANSWERED.value,
        ~exists().where(replies_table.c.update_id == bindparam("number")),
    )
    .values(state=State.DONE.value, finished_at=bindparam("now"), chat_id=None, payload=None)
)
_SETTLED = (
    select(_columns.update_id)
    .where(
        _columns.update_id.in_(bindparam("numbers", expanding=True)),
        _columns.state != State.WAITING.value,
    )
    .limit(1)
)
_WAITING = (
    select(updates_table)
    .where(_columns.state == State.WAITING.value, _columns.update_id > bindparam("above"))
    .order_by(_columns.update_id)
    .limit(bindparam("most", type_=Integer))
)


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateRow:
    """An update that waits.

    Attributes:
        starts: how often an answer was begun, by processes that may have died over it.
        attempts: how often it failed.
        not_before: Unix seconds.
    """

    update_id: int
    kind: str
    chat_id: int
    payload: Payload
    received_at: float
    starts: int = 0
    attempts: int = 0
    not_before: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """An update that was given up."""

    update_id: int
    kind: str
    attempts: int
    error: str
    received_at: float


def store(connection: Connection, rows: Sequence[UpdateRow]) -> int:
    """Add updates that are not there yet and return how many were."""
    return sum(
        _is_new(
            connection,
            {
                "update_id": row.update_id,
                "kind": row.kind,
                "state": State.WAITING.value,
                "received_at": row.received_at,
                "finished_at": None,
                "chat_id": row.chat_id,
                "payload": row.payload,
            },
        )
        for row in rows
    )


def note(connection: Connection, update_id: int, kind: str, now: float) -> int:
    """Record the number of an update that asks nothing of us; returns 1 if it was new."""
    row = {
        "update_id": update_id,
        "kind": kind,
        "state": State.DONE.value,
        "received_at": now,
        "finished_at": now,
        "chat_id": None,
        "payload": None,
    }
    return int(_is_new(connection, row))


def _is_new(connection: Connection, row: dict[str, Any]) -> bool:
    return connection.execute(_INSERT[connection.dialect.name], row).first() is not None


def waiting(connection: Connection, *, above: int | None, limit: int) -> list[UpdateRow]:
    """Return updates that wait, by number.

    Args:
        above: only those with a greater number; None: from the first.
    """
    first = -1 if above is None else above  # numbers are positive
    rows = connection.execute(_WAITING, {"above": first, "most": limit}).all()
    return [_waiting_row(row) for row in rows]


def count_waiting(connection: Connection) -> int:
    """Return how many updates wait."""
    query = select(func.count()).where(_columns.state == State.WAITING)
    return int(connection.execute(query).scalar_one())


def begin(connection: Connection, update_ids: Collection[int]) -> None:
    """Count that an answer is begun: a process that dies over one leaves this behind."""
    connection.execute(
        update(updates_table)
        .where(_columns.update_id.in_(update_ids))
        .values(starts=_columns.starts + 1)
    )


def lay_down(connection: Connection, update_ids: Collection[int]) -> None:
    """Take back `begin` for updates that wait on: the process ends, but did not die of them."""
    connection.execute(
        update(updates_table)
        .where(_columns.update_id.in_(update_ids), _columns.starts > 0)
        .values(starts=_columns.starts - 1)
    )


def any_settled(connection: Connection, update_ids: Collection[int]) -> bool:
    """Return whether one of these was answered or given up already."""
    return connection.execute(_SETTLED, {"numbers": list(update_ids)}).first() is not None


def answered(connection: Connection, update_ids: Collection[int], now: float) -> None:
    """Mark updates whose replies were put into the outbox in the same transaction."""
    connection.execute(_ANSWERED, [{"number": one, "now": now} for one in update_ids])


def delivered(connection: Connection, update_ids: Collection[int], now: float) -> None:
    """Forget all but the number of answered updates that have no reply left in the outbox."""
    if update_ids:
        connection.execute(_DELIVERED, [{"number": one, "now": now} for one in update_ids])


def postpone(
    connection: Connection, update_ids: Collection[int], *, until: float, error: str, failed: bool
) -> None:
    """Let updates wait until a time.

    Args:
        failed: it counts as an attempt; else something that they need is away for a while.
    """
    connection.execute(
        update(updates_table)
        .where(_columns.update_id.in_(update_ids))
        .values(attempts=_columns.attempts + int(failed), not_before=until, error=error[:200])
    )


def park(connection: Connection, update_ids: Collection[int], *, error: str, now: float) -> None:
    """Give updates up; a person finds their numbers with `doggo bot dead-letters`.

    Nothing else of them is kept: who wrote did not ask to be looked at.
    """
    connection.execute(
        update(updates_table)
        .where(_columns.update_id.in_(update_ids))
        .values(
            state=State.PARKED,
            finished_at=now,
            chat_id=None,
            payload=None,
            attempts=_columns.attempts + 1,
            error=error[:200],
        )
    )


def dead_letters(connection: Connection) -> list[DeadLetter]:
    """Return the updates that were given up, latest first."""
    query = select(updates_table).where(_columns.state == State.PARKED)
    rows = connection.execute(query.order_by(_columns.update_id.desc())).all()
    return [
        DeadLetter(
            update_id=row.update_id,
            kind=row.kind,
            attempts=row.attempts,
            error=row.error or "",
            received_at=row.received_at,
        )
        for row in rows
    ]


def forget_old(connection: Connection, now: float) -> None:
    """Empty what is older than a day, delete numbers older than a week."""
    old = _columns.received_at < now - KEEP_PAYLOAD_S
    connection.execute(
        update(updates_table)
        .where(old, _columns.state == State.WAITING)
        .values(state=State.PARKED, finished_at=now, error="not answered within 24 hours")
    )
    connection.execute(
        update(updates_table)
        .where(old, or_(_columns.payload.is_not(None), _columns.chat_id.is_not(None)))
        .values(chat_id=None, payload=None)
    )
    connection.execute(delete(updates_table).where(_columns.received_at < now - KEEP_NUMBER_S))


def _waiting_row(row: Row[Any]) -> UpdateRow:
    return UpdateRow(
        update_id=row.update_id,
        kind=row.kind,
        chat_id=row.chat_id,
        payload=row.payload,
        received_at=row.received_at,
        starts=row.starts,
        attempts=row.attempts,
        not_before=row.not_before,
    )
