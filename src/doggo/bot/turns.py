"""A turn of the conversation becomes true: in one transaction with the update that it answers.

Owns the way between the pure conversation and the rows. Knows nothing of Telegram or of words.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

from sqlalchemy import Connection

from doggo.bot.conversation import answer, answer_photos
from doggo.bot.scene import Knowledge, MyData, Totals
from doggo.core.chat import ChatKind, Incoming, Look, Person, Remembered, Reply, Turn
from doggo.storage import people, replies, updates
from doggo.storage.people import Pseudonyms
from doggo.storage.replies import NewReply, ReplyRow


class BoundMemory:
    """What a turn may look up, as one open transaction sees it."""

    def __init__(self, connection: Connection, names: Pseudonyms, now: float) -> None:
        self._connection, self._names, self._now = connection, names, now

    def person(self, user_id: int) -> Person:
        return people.find_person(self._connection, self._names.of(user_id))

    def remembered(self, prediction_id: str) -> Remembered | None:
        return people.find_told(self._connection, prediction_id)

    def remembered_by(self, user_id: int) -> MyData:
        kept = people.kept_of(self._connection, self._names.of(user_id))
        return MyData(
            predictions=kept.predictions,
            feedback=kept.feedback,
            first_day=_day(kept.first_at),
            last_day=_day(kept.last_at),
        )

    def totals(self) -> Totals:
        counts = people.count_all(self._connection, self._now)
        return Totals(
            people=counts.people,
            photos_today=counts.photos_today,
            photos_week=counts.photos_week,
            right=counts.right,
            wrong=counts.wrong,
            unknown=counts.unknown,
            top=counts.top_breeds,
        )


class Turns:
    """Answers updates inside the transaction that marks them answered.

    Args:
        knowledge: what the bot is right now; the model may change between two turns.
    """

    def __init__(
        self,
        names: Pseudonyms,
        knowledge: Callable[[], Knowledge],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._names, self._knowledge, self._clock = names, knowledge, clock

    def finish(
        self, connection: Connection, found: Sequence[Incoming], looks: Sequence[Look]
    ) -> list[ReplyRow]:
        """Answer the updates of one message and return the replies put into the outbox.

        A commit whose success a database could not tell any more is tried again: what was
        answered by it is not answered a second time.
        """
        if updates.any_settled(connection, [one.update_id for one in found]):
            return replies.of_update(connection, found[0].update_id)
        now = self._clock()
        memory = BoundMemory(connection, self._names, now)
        turn = (
            answer_photos(looks, memory, self._knowledge())
            if looks
            else answer(found[0], memory, self._knowledge())
        )
        self._keep(connection, found[0].user_id, turn, now)
        first, *others = (one.update_id for one in found)
        group = found[0].chat_kind is ChatKind.GROUP
        new = [_new(reply, first, now, is_group=group) for reply in turn.replies]
        rows = replies.add(connection, new, now)
        updates.answered(connection, [first, *others], now)
        # The replies hang on the first; of those without any only the number is left at once.
        done = others if rows else [first, *others]
        if done:
            updates.delivered(connection, done, now)
        return rows

    def blocked(self, connection: Connection, chat_id: int) -> None:
        """Note that a person does not want our messages; of a group nothing is kept."""
        if chat_id > 0:  # a group's id is negative
            people.set_blocked(connection, self._names.of(chat_id), blocked=True)

    def _keep(self, connection: Connection, user_id: int, turn: Turn, now: float) -> None:
        person = self._names.of(user_id)
        if turn.forget:
            people.forget_person(connection, person)
        if turn.person is not None:
            people.keep_person(connection, person, turn.person)
        people.remember(connection, person, turn.told, now)
        people.add_feedback(connection, person, turn.feedback, now)


def _new(reply: Reply, update_id: int, now: float, *, is_group: bool) -> NewReply:
    lasts_s = updates.KEEP_PAYLOAD_S if reply.lasts_s is None else reply.lasts_s
    return NewReply(
        update_id=update_id,
        chat_id=reply.chat_id,
        is_group=is_group,
        method=reply.method,
        arguments=dict(reply.arguments),
        expires_at=now + lasts_s,
    )


def _day(at: float | None) -> date | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).date()
