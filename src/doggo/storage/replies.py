"""The outbox: calls of the Bot API that wait until Telegram took them.

Owns the rows. Each function works on an open transaction. A row is deleted, not marked, once its
call succeeded, and its update's payload goes with the last of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update

from doggo.storage import updates
from doggo.storage.engine import replies_table

_columns = replies_table.c


_ADD = insert(replies_table).returning(_columns.reply_id)
_DELETE = delete(replies_table).where(_columns.reply_id == bindparam("number"))


@dataclass(frozen=True, kw_only=True, slots=True)
class NewReply:
    """A call to make.

    Attributes:
        is_group: another limit of Telegram's applies to its chat.
        expires_at: Unix seconds; dropped unsent after.
    """

    update_id: int
    chat_id: int
    is_group: bool
    method: str
    arguments: dict[str, Any]
    expires_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplyRow(NewReply):
    """A call that waits; rows of one chat are sent in the order of `reply_id`."""

    reply_id: int
    attempts: int = 0
    not_before: float = 0.0


def add(connection: Connection, replies: Sequence[NewReply], now: float) -> list[ReplyRow]:
    """Put calls into the outbox and return them with their numbers."""
    rows = []
    for reply in replies:
        values: dict[str, Any] = {
            "update_id": reply.update_id,
            "chat_id": reply.chat_id,
            "is_group": reply.is_group,
            "method": reply.method,
            "arguments": reply.arguments,
            "expires_at": reply.expires_at,
        }
        reply_id = connection.execute(_ADD, {**values, "created_at": now}).scalar_one()
        rows.append(ReplyRow(reply_id=reply_id, **values))
    return rows


def waiting(connection: Connection, *, above: int, limit: int) -> list[ReplyRow]:
    """Return calls that wait with a number above one, in order."""
    query = select(replies_table).where(_columns.reply_id > above)
    return _rows(connection, query.limit(limit))


def of_update(connection: Connection, update_id: int) -> list[ReplyRow]:
    """Return the calls that an update led to and that still wait, in order."""
    return _rows(connection, select(replies_table).where(_columns.update_id == update_id))


def to_chat(connection: Connection, chat_id: int) -> list[ReplyRow]:
    """Return the calls to a chat that wait, in order."""
    return _rows(connection, select(replies_table).where(_columns.chat_id == chat_id))


def _rows(connection: Connection, query: Select[Any]) -> list[ReplyRow]:
    return [
        ReplyRow(
            reply_id=row.reply_id,
            update_id=row.update_id,
            chat_id=row.chat_id,
            is_group=row.is_group,
            method=row.method,
            arguments=row.arguments,
            expires_at=row.expires_at,
            attempts=row.attempts,
            not_before=row.not_before,
        )
        for row in connection.execute(query.order_by(_columns.reply_id)).all()
    ]


def sent(connection: Connection, row: ReplyRow, now: float) -> None:
    """Forget a call that Telegram took, and its update's payload if it was the last."""
    connection.execute(_DELETE, {"number": row.reply_id})
    updates.delivered(connection, [row.update_id], now)


def given_up(connection: Connection, row: ReplyRow, *, error: str, now: float) -> None:
    """Delete a call that can never succeed and park its update."""
    connection.execute(delete(replies_table).where(_columns.reply_id == row.reply_id))
    updates.park(connection, [row.update_id], error=error, now=now)


def postpone(connection: Connection, row: ReplyRow, *, until: float) -> None:
    """Count a failed attempt and let the call wait until a time."""
    connection.execute(
        update(replies_table)
        .where(_columns.reply_id == row.reply_id)
        .values(attempts=row.attempts + 1, not_before=until)
    )


def move_chat(connection: Connection, old: int, new: int) -> None:
    """Follow a group that became a supergroup: its calls go to the new chat."""
    for reply_id, arguments in connection.execute(
        select(_columns.reply_id, _columns.arguments).where(_columns.chat_id == old)
    ).all():
        moved = {**arguments, "chat_id": new} if "chat_id" in arguments else arguments
        moved.pop("reply_parameters", None)  # messages have other numbers there
        connection.execute(
            update(replies_table)
            .where(_columns.reply_id == reply_id)
            .values(chat_id=new, arguments=moved)
        )


def drop_chat(connection: Connection, chat_id: int, now: float) -> int:
    """Forget all calls to a chat that does not want us; returns how many."""
    update_ids: Collection[int] = (
        connection.execute(select(_columns.update_id).where(_columns.chat_id == chat_id))
        .scalars()
        .all()
    )
    done = connection.execute(delete(replies_table).where(_columns.chat_id == chat_id))
    updates.delivered(connection, update_ids, now)
    return done.rowcount


def forget_old(connection: Connection, now: float) -> list[int]:
    """Delete calls that waited for a day and park their updates; returns their numbers."""
    old = connection.execute(
        select(_columns.reply_id, _columns.update_id).where(
            _columns.created_at < now - updates.KEEP_PAYLOAD_S
        )
    ).all()
    if not old:
        return []
    connection.execute(delete(replies_table).where(_columns.reply_id.in_([row[0] for row in old])))
    updates.park(
        connection, [row[1] for row in old], error="not delivered within 24 hours", now=now
    )
    return [row[0] for row in old]
