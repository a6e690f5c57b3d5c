"""The ledger: what became of every file that was handed in, and under which breed it was filed.

Owns the queries and changes of its entries and of where their files were met. Changes are made on
a connection, in the transaction that also changes the photos (`photos.py`). Knows none of the
rules that decide what is written (`intake/decide.py`).
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields

from sqlalchemy import ColumnElement, Connection, Engine, and_, case, delete, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from doggo.core.errors import Rejection
from doggo.core.records import Origin, Outcome, Photo, QuarantineReason, Source
from doggo.storage.database import (
    VALUES,
    copies_table,
    photos_table,
    sources_table,
    transaction,
    values_of,
)

DAMAGED = frozenset({*(why.value for why in Rejection), QuarantineReason.UNREADABLE.value})
"""Quarantine reasons of a photo whose raw object was lost: handing it in again restores it.

Any rejection: until 2026-11 preprocess set photos aside that one short side was too much for.
"""

_UNREAD = "unread:"
_FIELDS = tuple(field.name for field in fields(Source))
_ENTRY = sources_table.c
_COLUMNS = [_ENTRY[name] for name in _FIELDS]
_WAS_UNREAD = _ENTRY.source_sha256.startswith(_UNREAD)

_NEW = insert(sources_table)
_ENTER = _NEW.on_conflict_do_update(
    index_elements=[_ENTRY.source_sha256, _ENTRY.breed],
    set_={name: _NEW.excluded[name] for name in _FIELDS[2:]},
    where=and_(
        _ENTRY.photo_id.is_(None),
        or_(
            *(
                _ENTRY[name].is_distinct_from(_NEW.excluded[name])
                for name in ("outcome", "reason", "read_by")
            )
        ),
    ),
)


def unread_key(path: str) -> str:
    """Return what stands for the sha256 of a file in the ledger as long as nobody read it whole."""
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()
    return f"{_UNREAD}{digest[: 64 - len(_UNREAD)]}"


def ledger_path(path: str) -> str:
    """Return a path as the ledger has it: as text, which a file name need not be."""
    return os.fsencode(path).decode("utf-8", "replace")[:1000]


@dataclass(frozen=True, slots=True)
class Filing:
    """That a photo is filed under a breed, by an entry; `paths`: where its file was met."""

    source: Source
    paths: tuple[str, ...]


class Ledger:
    """What is asked of the ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def has_sources(self) -> bool:
        """Return whether intake has ever read a file."""
        query = select(_ENTRY.path).where(~_WAS_UNREAD).limit(1)
        with transaction(self._engine) as connection:
            return connection.execute(query).first() is not None

    def unread(self) -> set[str]:
        """Return the `unread_key` of every file in the ledger that could not be read."""
        with transaction(self._engine) as connection:
            query = select(_ENTRY.source_sha256).where(_WAS_UNREAD)
            return set(connection.execute(query).scalars())

    def sources(self, hashes: Collection[str]) -> dict[tuple[str, str], Source]:
        """Return the entries for these source hashes, by (source_sha256, breed).

        Those of photos whose raw object was lost are left out: they are worth taking in again.
        """
        joined = sources_table.outerjoin(photos_table, _ENTRY.photo_id == photos_table.c.photo_id)
        query = select(*_COLUMNS, photos_table.c.quarantine).select_from(joined)
        found = {}
        with transaction(self._engine) as connection:
            rows = connection.execute(
                query.where(_ENTRY.source_sha256.in_(VALUES)), values_of(hashes)
            ).all()
        for row in rows:
            if row[-1] not in DAMAGED:
                source = _source(row[:-1])
                found[source.source_sha256, source.breed] = source
        return found

    def kept_as(self, hashes: Collection[str]) -> dict[tuple[str, str], tuple[str, str]]:
        """Return the photos in use that files with these hashes became: id and raw key of each.

        By (source_sha256, breed). Duplicates of a photo are left out: its file is the one that
        can restore it.
        """
        photo = photos_table.c
        itself = and_(
            photo.photo_id == _ENTRY.photo_id, photo.source_sha256 == _ENTRY.source_sha256
        )
        query = (
            select(_ENTRY.source_sha256, _ENTRY.breed, photo.photo_id, photo.raw_key)
            .join(photos_table, itself)
            .where(
                _ENTRY.source_sha256.in_(VALUES),
                _ENTRY.outcome.in_((Outcome.ADDED.value, Outcome.EXACT_DUPLICATE.value)),
                photo.quarantine.is_(None),
            )
        )
        with transaction(self._engine) as connection:
            rows = connection.execute(query, values_of(hashes)).all()
        return {(sha256, breed): (photo_id, key) for sha256, breed, photo_id, key in rows}

    def quarantined(self) -> list[Source]:
        """Return every source that was set aside, by reason and path: the quarantine table."""
        aside = (Outcome.QUARANTINED.value, Outcome.CONFLICT.value)
        query = select(*_COLUMNS).where(_ENTRY.outcome.in_(aside))
        with transaction(self._engine) as connection:
            rows = connection.execute(query.order_by(_ENTRY.reason, _ENTRY.path)).all()
        return [_source(row) for row in rows]

    def filings(self, photo_ids: Collection[str]) -> list[Filing]:
        """Return what the entries say of these photos, with the paths of their files."""
        copy = copies_table.c
        same = and_(_ENTRY.source_sha256 == copy.source_sha256, _ENTRY.breed == copy.breed)
        query = (
            select(*_COLUMNS, copy.path)
            .select_from(sources_table.outerjoin(copies_table, same))
            .where(_ENTRY.photo_id.in_(VALUES))
        )
        paths = defaultdict[Source, list[str]](list)
        with transaction(self._engine) as connection:
            for row in connection.execute(query, values_of(photo_ids)):
                source = _source(row[:-1])
                paths[source] += [row[-1]] if row[-1] is not None else []
        return [Filing(source, (source.path, *more)) for source, more in paths.items()]

    def met(self, copies: Collection[Source]) -> None:
        """Note where files of the ledger were met beside the paths that it has."""
        if copies:
            with transaction(self._engine) as connection:
                _note(connection, copies)

    def added_sources(self, origin: Origin) -> list[tuple[Source, str]]:
        """Return the sources that became photos in use, each with its key in the raw bucket."""
        photo = photos_table.c
        query = select(*_COLUMNS, photo.raw_key).join(
            photos_table, photo.photo_id == _ENTRY.photo_id
        )
        itself = and_(  # of a photo that came back under another breed
            _ENTRY.outcome == Outcome.EXACT_DUPLICATE.value,
            _ENTRY.source_sha256 == photo.source_sha256,
        )
        query = query.where(
            or_(_ENTRY.outcome == Outcome.ADDED.value, itself),
            photo.origin == origin.value,
            photo.quarantine.is_(None),
        )
        with transaction(self._engine) as connection:
            rows = connection.execute(query.order_by(_ENTRY.path)).all()
        return [(_source(row[:-1]), row[-1]) for row in rows]

    def source_paths(self) -> list[tuple[str, str]]:
        """Return (photo_id, path) of every file that became a photo or is one once more."""
        known = (Outcome.ADDED, Outcome.EXACT_DUPLICATE, Outcome.OVERRULED)
        query = select(_ENTRY.photo_id, _ENTRY.path).where(
            _ENTRY.outcome.in_([outcome.value for outcome in known])
        )
        with transaction(self._engine) as connection:
            return [(photo_id, path) for photo_id, path in connection.execute(query)]


def enter(connection: Connection, sources: Sequence[Source]) -> None:
    """Write new entries; one that is there stays as it is.

    Unless it said why a file is no photo, and something else is said now.
    """
    if sources:
        connection.execute(_ENTER, [_values(source) for source in sources])
        twice = (Outcome.EXACT_DUPLICATE, Outcome.CONFLICT)
        _note(connection, [source for source in sources if source.outcome in twice])


def forget_unread(connection: Connection, keys: Collection[str]) -> None:
    """Drop the entries of files that nobody could read, by `unread_key`."""
    if keys:
        stale = delete(sources_table).where(_ENTRY.source_sha256.in_(VALUES))
        connection.execute(stale, values_of(keys))


def forget(connection: Connection, entries: Iterable[tuple[str, str]]) -> None:
    """Drop entries, by (source_sha256, breed), and where their files were met."""
    for source_sha256, breed in sorted(entries):
        for table in (sources_table, copies_table):
            mine = and_(table.c.source_sha256 == source_sha256, table.c.breed == breed)
            connection.execute(delete(table).where(mine))


def overrule(connection: Connection, entries: Iterable[tuple[str, str]]) -> None:
    """Have entries, by (source_sha256, breed), no longer count, whatever is met."""
    detail = "the owner filed it under another breed"
    for source_sha256, breed in sorted(entries):
        entry = and_(_ENTRY.source_sha256 == source_sha256, _ENTRY.breed == breed)
        _say(connection, entry, Outcome.OVERRULED.value, None, detail)


def follow(connection: Connection, photo: Photo) -> None:
    """Have the entries of a mended photo say what it is now."""
    mine = and_(
        _ENTRY.photo_id == photo.photo_id,
        _ENTRY.breed == photo.breed,
        _ENTRY.outcome.in_((Outcome.CONFLICT.value, Outcome.OVERRULED.value)),
    )
    if photo.quarantine is None:
        added = _ENTRY.source_sha256 == photo.source_sha256
        said = case((added, Outcome.ADDED.value), else_=Outcome.EXACT_DUPLICATE.value)
        _say(connection, mine, said, None, None)
    else:
        detail = "no longer in conflict, and still out of use"
        _say(connection, mine, Outcome.QUARANTINED.value, photo.quarantine, detail)


def follow_restored(connection: Connection, photo_ids: Collection[str]) -> None:
    """Have the entries of photos that are back in use say so."""
    again = update(sources_table).where(
        _ENTRY.photo_id.in_(VALUES), _ENTRY.outcome != Outcome.OVERRULED.value
    )
    added = again.values(outcome=Outcome.ADDED.value, reason=None, detail=None)
    connection.execute(added, values_of(photo_ids))


def follow_aside(
    connection: Connection, photo_id: str, outcome: Outcome, reason: str, detail: str
) -> None:
    """Have the entries of a photo that is out of use from now on say why."""
    in_use = (Outcome.ADDED.value, Outcome.EXACT_DUPLICATE.value)
    mine = and_(_ENTRY.photo_id == photo_id, _ENTRY.outcome.in_(in_use))
    _say(connection, mine, outcome.value, reason, detail[:300])


def _say(
    connection: Connection,
    entries: ColumnElement[bool],
    outcome: str | ColumnElement[str],
    reason: str | None,
    detail: str | None,
) -> None:
    changed = update(sources_table).where(entries)
    connection.execute(changed.values(outcome=outcome, reason=reason, detail=detail))


def _note(connection: Connection, copies: Collection[Source]) -> None:
    rows = [
        {
            "source_sha256": copy.source_sha256,
            "breed": copy.breed,
            "path": ledger_path(copy.path),
        }
        for copy in copies
    ]
    if rows:
        connection.execute(insert(copies_table).on_conflict_do_nothing(), rows)


def _source(row: Sequence[object]) -> Source:
    values = dict(zip(_FIELDS, row, strict=True))
    values["outcome"] = Outcome(str(values["outcome"]))
    return Source(**values)  # type: ignore[arg-type]  # columns are the record's fields


def _values(source: Source) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(source, name) for name in _FIELDS}
    values["path"] = ledger_path(source.path)
    values["detail"] = source.detail[:300] if source.detail else None
    return values
