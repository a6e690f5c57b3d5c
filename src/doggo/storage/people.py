"""People the bot has met, what it told them and what they said of it: under a keyed hash.

Owns the rows of `people`, `told` and `feedback`. A user's id is nowhere in them: who has the
database alone cannot tell whose they are, nor test a guess. Each function works on an open
transaction.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, Table, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from doggo.core.chat import Consent, Feedback, Person, Remembered
from doggo.storage.engine import feedback_table, people_table, told_table

_FIND_PERSON = select(people_table).where(people_table.c.person == bindparam("name"))
_FIND_TOLD = select(told_table).where(told_table.c.prediction_id == bindparam("id"))


class Pseudonyms:
    """Turns a user's id into the name it is stored under: HMAC-SHA256 (RFC 2104), in hex.

    Args:
        key: lies outside of the database; without it nothing can be traced to a user.
    """

    def __init__(self, key: str) -> None:
        self._key = bytes.fromhex(key)

    def of(self, user_id: int) -> str:
        """Return 64 hex digits."""
        return hmac.new(self._key, str(user_id).encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """How much is kept of one person; days as Unix seconds, None without any."""

    predictions: int
    feedback: int
    first_at: float | None
    last_at: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What the bot has done, for its owner: today since midnight UTC, a week in 7 days."""

    people: int
    photos_today: int
    photos_week: int
    right: int
    wrong: int
    unknown: int
    top_breeds: tuple[tuple[str, int], ...]


def find_person(connection: Connection, person: str) -> Person:
    """Return what is known of a person; of a stranger the defaults."""
    row = connection.execute(_FIND_PERSON, {"name": person}).one_or_none()
    if row is None:
        return Person()
    return Person(language=row.language, consent=Consent(row.consent), blocked=row.blocked)


def keep_person(connection: Connection, person: str, known: Person) -> None:
    """Store what is known of a person from now on."""
    values = {"language": known.language, "consent": known.consent, "blocked": known.blocked}
    _upsert(connection, people_table, {"person": person}, values)


def set_blocked(connection: Connection, person: str, *, blocked: bool) -> None:
    """Mark that a person does not want our messages, or wants them again."""
    known = find_person(connection, person)
    if known.blocked != blocked:
        keep_person(
            connection,
            person,
            Person(language=known.language, consent=known.consent, blocked=blocked),
        )


def remember(connection: Connection, person: str, told: Sequence[Remembered], now: float) -> None:
    """Keep predictions that a person is told."""
    for one in told:
        key = {"prediction_id": one.prediction_id}
        values = {
            "person": person,
            "told_at": now,
            "model_version": one.model_version,
            "verdict": one.verdict,
            "breeds": list(one.breeds),
            "album": list(one.album),
        }
        _upsert(connection, told_table, key, values)


def find_told(connection: Connection, prediction_id: str) -> Remembered | None:
    """Return a prediction that was told to somebody, or None."""
    row = connection.execute(_FIND_TOLD, {"id": prediction_id}).one_or_none()
    if row is None:
        return None
    return Remembered(
        prediction_id=row.prediction_id,
        model_version=row.model_version,
        verdict=row.verdict,
        breeds=tuple(row.breeds),
        album=tuple(row.album),
    )


def add_feedback(
    connection: Connection, person: str, given: Sequence[Feedback], now: float
) -> None:
    """Keep what a person says of predictions; what they said of one before is replaced."""
    for one in given:
        key = {"prediction_id": one.prediction_id, "person": person}
        values = {"given_at": now, "breed": one.breed, "source": one.source}
        _upsert(connection, feedback_table, key, values)


def forget_person(connection: Connection, person: str) -> None:
    """Erase everything that is kept of a person."""
    for table in (feedback_table, told_table, people_table):
        connection.execute(delete(table).where(table.c.person == person))


def kept_of(connection: Connection, person: str) -> Kept:
    """Return how much is kept of a person."""
    told = connection.execute(
        select(func.count(), func.min(told_table.c.told_at), func.max(told_table.c.told_at)).where(
            told_table.c.person == person
        )
    ).one()
    given = connection.execute(
        select(func.count()).where(feedback_table.c.person == person)
    ).scalar_one()
    return Kept(predictions=told[0], feedback=given, first_at=told[1], last_at=told[2])


def count_all(connection: Connection, now: float, *, top: int = 5) -> Counts:
    """Return what the bot has done so far."""

    def count(table: Table, *conditions: Any) -> int:
        query = select(func.count()).select_from(table).where(*conditions)
        return int(connection.execute(query).scalar_one())

    first = told_table.c.breeds[0].as_string()
    joined = feedback_table.join(
        told_table, told_table.c.prediction_id == feedback_table.c.prediction_id
    )

    def said(*conditions: Any) -> int:
        query = select(func.count()).select_from(joined).where(*conditions)
        return int(connection.execute(query).scalar_one())

    breed = feedback_table.c.breed
    named = connection.execute(
        select(first, func.count())
        .where(told_table.c.verdict == "breed")
        .group_by(first)
        .order_by(func.count().desc(), first)
        .limit(top)
    ).all()
    return Counts(
        people=count(people_table),
        photos_today=count(told_table, told_table.c.told_at >= now - now % 86_400),
        photos_week=count(told_table, told_table.c.told_at > now - 7 * 86_400),
        right=said(breed == first),
        wrong=said(breed != first),
        unknown=said(breed.is_(None)),
        top_breeds=tuple((str(name), int(n)) for name, n in named),
    )


def _upsert(
    connection: Connection, table: Table, key: dict[str, Any], values: dict[str, Any]
) -> None:
    connection.execute(_statement(connection.dialect.name, table), key | values)


@cache  # building a statement takes longer than carrying it out
def _statement(dialect_name: str, table: Table) -> Executable:
    dialect = postgresql if dialect_name == "postgresql" else sqlite
    statement = dialect.insert(table)
    changed = {
        column.name: statement.excluded[column.name] for column in table.c if not column.primary_key
    }
    upsert: Executable = statement.on_conflict_do_update(
        index_elements=list(table.primary_key), set_=changed
    )
    return upsert
