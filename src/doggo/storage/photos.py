"""Photos in the database: the ledger of sources, the photos, their groups and sides.

Owns the queries on those tables and the lock that lets one command at a time change them. Knows
none of the rules that decide what is written (`intake/decide.py`, `preprocess/split.py`). Where
a photo's pixels lie is in `pixels.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, and_, bindparam, case, delete, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from doggo.core.errors import Rejection, StorageError
from doggo.core.records import Origin, Outcome, Photo, QuarantineReason, Source, Split
from doggo.storage.buckets import explain_os_error
from doggo.storage.database import copies_table, photos_table, sources_table, transaction
from doggo.vision.perceptual import bands

DAMAGED = frozenset({Rejection.BROKEN.value, QuarantineReason.UNREADABLE.value})
"""Quarantine reasons of a photo whose raw object was lost: handing it in again restores it."""

HOW_TO_SOLVE = (
    "move or delete the wrong file and run intake on the folder that held it, "
    "or `doggo intake --relabel` on the right one"
)
"""What an owner does about a conflict."""

_UNREAD = "unread:"
_PHOTO_FIELDS = tuple(field.name for field in fields(Photo))
_SOURCE_FIELDS = tuple(field.name for field in fields(Source))
_BAND_FIELDS = tuple(f"band_{place}" for place in range(5))
_PHOTO_COLUMNS = [photos_table.c[name] for name in _PHOTO_FIELDS]
_SOURCE_COLUMNS = [sources_table.c[name] for name in _SOURCE_FIELDS]
_BAND_COLUMNS = [photos_table.c[name] for name in _BAND_FIELDS]
_USED = photos_table.c.quarantine.is_(None)
_WAS_UNREAD = sources_table.c.source_sha256.startswith(_UNREAD)
# A list of any length as one parameter, so that a statement stays the same and is compiled once:
# look-ups are made for every photo, and SQLAlchemy's own lists took a fifth of intake's time.
_VALUES = select(func.json_each(bindparam("values")).table_valued("value").c.value)
_GROUPS = select(photos_table.c.group_id).where(photos_table.c.photo_id.in_(_VALUES))
_NEAR_BY_BAND = [
    select(column, photos_table.c.phash, photos_table.c.group_id).where(column.in_(_VALUES))
    for column in _BAND_COLUMNS
]
_MEMBERS = select(*_PHOTO_COLUMNS).where(photos_table.c.group_id.in_(_VALUES))


_NEW = insert(sources_table)
_LEDGER = _NEW.on_conflict_do_update(
    index_elements=[sources_table.c.source_sha256, sources_table.c.breed],
    set_={name: _NEW.excluded[name] for name in _SOURCE_FIELDS[2:]},
    where=and_(
        sources_table.c.photo_id.is_(None),
        or_(
            *(
                sources_table.c[name].is_distinct_from(_NEW.excluded[name])
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
class Claim:
    """That a photo is of a breed, by an entry of the ledger; `paths`: where its file was met."""

    source: Source
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Removal:
    """A photo to take out of use: its reason, and one line for a person."""

    photo_id: str
    reason: str
    detail: str


class PhotoStore:
    """The photos that this installation knows. Every change is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def exclusive(self, doing: str) -> Iterator[None]:
        """Be the only command that changes photos; the lock ends with the process at the latest.

        Raises:
            StorageError: another one is at it.
        """
        path = Path(f"{self.engine.url.database}.lock")
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            who = path.read_text(errors="replace").strip() or "another doggo command"
            raise StorageError(
                f"cannot start {doing}: {who} is changing the photos of {path.parent}; "
                "wait until it ends and run this again"
            ) from error
        except OSError as error:
            raise StorageError(f"cannot lock {path}: {explain_os_error(error)}") from error
        try:
            # Only for the message above: on a full disk it stays empty.
            with suppress(OSError):
                path.write_text(f"{doing} (process {os.getpid()})")
            yield
        finally:
            lock.release()

    def has_sources(self) -> bool:
        """Return whether intake has ever read a file."""
        query = select(sources_table.c.path).where(~_WAS_UNREAD).limit(1)
        with transaction(self.engine) as connection:
            return connection.execute(query).first() is not None

    def unread(self) -> set[str]:
        """Return the `unread_key` of every file in the ledger that could not be read."""
        with transaction(self.engine) as connection:
            query = select(sources_table.c.source_sha256).where(_WAS_UNREAD)
            return set(connection.execute(query).scalars())

    def sources(self, hashes: Collection[str]) -> dict[tuple[str, str], Source]:
        """Return the ledger's entries for these source hashes, by (source_sha256, breed).

        Those of photos whose raw object was lost are left out: they are worth taking in again.
        """
        joined = sources_table.outerjoin(
            photos_table, sources_table.c.photo_id == photos_table.c.photo_id
        )
        query = select(*_SOURCE_COLUMNS, photos_table.c.quarantine).select_from(joined)
        found = {}
        with transaction(self.engine) as connection:
            rows = connection.execute(
                query.where(sources_table.c.source_sha256.in_(_VALUES)), _values(hashes)
            ).all()
        for row in rows:
            if row[-1] not in DAMAGED:
                source = _source(row[:-1])
                found[source.source_sha256, source.breed] = source
        return found

    def quarantined(self) -> list[Source]:
        """Return every source that was set aside, by reason and path: the quarantine table."""
        aside = (Outcome.QUARANTINED.value, Outcome.CONFLICT.value)
        query = select(*_SOURCE_COLUMNS).where(sources_table.c.outcome.in_(aside))
        with transaction(self.engine) as connection:
            rows = connection.execute(
                query.order_by(sources_table.c.reason, sources_table.c.path)
            ).all()
        return [_source(row) for row in rows]

    def alike(self, photo_ids: Sequence[str], hashes: Sequence[str], within: int) -> list[Photo]:
        """Return the stored photos that may show the same pictures, with their whole groups.

        Args:
            photo_ids: sha256 of raw objects to look for.
            hashes: perceptual hashes to look for.
            within: largest Hamming distance, at most 4 (what the five indexed bands find).
        """
        cut = [bands(phash) for phash in hashes]
        with transaction(self.engine) as connection:
            groups = set(connection.execute(_GROUPS, _values(photo_ids)).scalars().all())
            for place in range(len(_BAND_COLUMNS)):
                by_band = defaultdict[int, list[int]](list)
                for phash, parts in zip(hashes, cut, strict=True):
                    by_band[parts[place]].append(int(phash, 16))
                groups |= self._groups_near(connection, place, by_band, within)
            rows = connection.execute(_MEMBERS, _values(groups)).all()
        return [_photo(row) for row in rows]

    def claims(self, photo_ids: Collection[str]) -> list[Claim]:
        """Return what the ledger's entries say of these photos, with the paths of their files."""
        entry, copy = sources_table.c, copies_table.c
        same = and_(entry.source_sha256 == copy.source_sha256, entry.breed == copy.breed)
        query = (
            select(*_SOURCE_COLUMNS, copy.path)
            .select_from(sources_table.outerjoin(copies_table, same))
            .where(entry.photo_id.in_(_VALUES))
        )
        paths = defaultdict[Source, list[str]](list)
        with transaction(self.engine) as connection:
            for row in connection.execute(query, _values(photo_ids)):
                source = _source(row[:-1])
                paths[source] += [row[-1]] if row[-1] is not None else []
        return [Claim(source, (source.path, *more)) for source, more in paths.items()]

    def met(self, copies: Collection[Source]) -> None:
        """Note where files of the ledger were met beside the paths that it has."""
        if copies:
            with transaction(self.engine) as connection:
                _note(connection, copies)

    def record(
        self,
        *,
        sources: Sequence[Source],
        photos: Sequence[Photo],
        restored: Collection[str],
        set_aside: Collection[str],
        merged: Mapping[str, str],
        mended: Collection[Photo] = (),
        retracted: Collection[tuple[str, str]] = (),
        overruled: Collection[tuple[str, str]] = (),
        met_again: Collection[str] = (),
    ) -> None:
        """Write what a chunk of intake decided, in one transaction.

        Args:
            sources: new entries of the ledger; one that it has already stays as it is, unless
                it said why a file is no photo and something else is said now.
            restored: photos to put back into use. set_aside: photos now in conflict, with all
                sources that became them. merged: group id → the id that takes its place.
            mended: photos as they are from now on: their breed, group and quarantine.
            retracted: (source_sha256, breed) of entries to forget. overruled: of entries that no
                longer count, whatever is met.
            met_again: `unread_key` of files whose entries make way for what is known of them now.
        """
        with transaction(self.engine) as connection:
            if met_again:
                stale = delete(sources_table).where(sources_table.c.source_sha256.in_(_VALUES))
                connection.execute(stale, _values(met_again))
            _forget(connection, retracted)
            _overrule(connection, overruled)
            for photo in mended:
                _mend(connection, photo)
            for old, new in merged.items():
                moved = update(photos_table).where(photos_table.c.group_id == old)
                connection.execute(moved.values(group_id=new))
            if photos:
                connection.execute(insert(photos_table), [_photo_values(photo) for photo in photos])
            if restored:
                back = update(photos_table).where(photos_table.c.photo_id.in_(_VALUES))
                connection.execute(back.values(quarantine=None), _values(restored))
                again = update(sources_table).where(
                    sources_table.c.photo_id.in_(_VALUES),
                    sources_table.c.outcome != Outcome.OVERRULED.value,
                )
                added = again.values(outcome=Outcome.ADDED.value, reason=None, detail=None)
                connection.execute(added, _values(restored))
            if sources:
                connection.execute(_LEDGER, [_source_values(source) for source in sources])
                twice = (Outcome.EXACT_DUPLICATE, Outcome.CONFLICT)
                _note(connection, [source for source in sources if source.outcome in twice])
            conflict = QuarantineReason.CONFLICT.value
            for photo_id in sorted(set_aside):
                self._quarantine(
                    connection,
                    photo_id,
                    Outcome.CONFLICT,
                    conflict,
                    f"filed under two breeds: {HOW_TO_SOLVE}",
                )

    def remove(self, removals: Iterable[Removal]) -> None:
        """Take photos out of use; they stay in the tables and leave later manifests."""
        with transaction(self.engine) as connection:
            for gone in removals:
                self._quarantine(
                    connection, gone.photo_id, Outcome.QUARANTINED, gone.reason, gone.detail
                )

    def used(self, origin: Origin) -> list[Photo]:
        """Return the photos in use, by breed and photo_id."""
        query = select(*_PHOTO_COLUMNS).where(_USED, photos_table.c.origin == origin.value)
        with transaction(self.engine) as connection:
            rows = connection.execute(
                query.order_by(photos_table.c.breed, photos_table.c.photo_id)
            ).all()
        return [_photo(row) for row in rows]

    def reasons(self) -> dict[str, str]:
        """Return why each photo that is out of use is, by photo_id."""
        query = select(photos_table.c.photo_id, photos_table.c.quarantine).where(~_USED)
        with transaction(self.engine) as connection:
            return {row.photo_id: row.quarantine for row in connection.execute(query)}

    def group_sides(self) -> dict[str, Split]:
        """Return the side of every group that has one, members out of use included."""
        query = select(photos_table.c.group_id, func.min(photos_table.c.split)).where(
            photos_table.c.split.is_not(None)
        )
        with transaction(self.engine) as connection:
            rows = connection.execute(query.group_by(photos_table.c.group_id)).all()
        return {group_id: Split(side) for group_id, side in rows}

    def set_sides(self, sides: Mapping[str, Split]) -> None:
        """Store the side of photos (by photo_id) that have none; a stored side never changes."""
        by_side = defaultdict[Split, list[str]](list)
        for photo_id, side in sides.items():
            by_side[side].append(photo_id)
        with transaction(self.engine) as connection:
            for side, photo_ids in by_side.items():
                sided = update(photos_table).where(
                    photos_table.c.photo_id.in_(_VALUES), photos_table.c.split.is_(None)
                )
                connection.execute(sided.values(split=side.value), _values(photo_ids))

    def added_sources(self, origin: Origin) -> list[tuple[Source, str]]:
        """Return the sources that became photos in use, each with its key in the raw bucket."""
        query = select(*_SOURCE_COLUMNS, photos_table.c.raw_key).join(
            photos_table, photos_table.c.photo_id == sources_table.c.photo_id
        )
        itself = and_(  # of a photo that came back under another breed
            sources_table.c.outcome == Outcome.EXACT_DUPLICATE.value,
            sources_table.c.source_sha256 == photos_table.c.source_sha256,
        )
        query = query.where(
            or_(sources_table.c.outcome == Outcome.ADDED.value, itself),
            photos_table.c.origin == origin.value,
            _USED,
        )
        with transaction(self.engine) as connection:
            rows = connection.execute(query.order_by(sources_table.c.path)).all()
        return [(_source(row[:-1]), row[-1]) for row in rows]

    def source_paths(self) -> list[tuple[str, str]]:
        """Return (photo_id, path) of every file that became a photo or is one once more."""
        known = (Outcome.ADDED, Outcome.EXACT_DUPLICATE, Outcome.OVERRULED)
        query = select(sources_table.c.photo_id, sources_table.c.path).where(
            sources_table.c.outcome.in_([outcome.value for outcome in known])
        )
        with transaction(self.engine) as connection:
            return [(photo_id, path) for photo_id, path in connection.execute(query)]

    def _groups_near(
        self,
        connection: Connection,
        place: int,
        by_band: Mapping[int, Sequence[int]],
        within: int,
    ) -> set[str]:
        """Return the groups of photos that share a band with a hash and are near enough."""
        found = set[str]()
        sharing = connection.execute(_NEAR_BY_BAND[place], _values(by_band)).all()
        for band, phash, group_id in sharing:
            number = int(phash, 16)
            for other in by_band[band]:
                if (number ^ other).bit_count() <= within:
                    found.add(group_id)
        return found

    def _quarantine(
        self, connection: Connection, photo_id: str, outcome: Outcome, reason: str, detail: str
    ) -> None:
        photo = update(photos_table).where(photos_table.c.photo_id == photo_id)
        connection.execute(photo.values(quarantine=reason))
        sources = update(sources_table).where(
            sources_table.c.photo_id == photo_id,
            or_(
                sources_table.c.outcome == Outcome.ADDED.value,
                sources_table.c.outcome == Outcome.EXACT_DUPLICATE.value,
            ),
        )
        connection.execute(
            sources.values(outcome=outcome.value, reason=reason, detail=detail[:300])
        )


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


def _forget(connection: Connection, entries: Iterable[tuple[str, str]]) -> None:
    for source_sha256, breed in sorted(entries):
        for table in (sources_table, copies_table):
            mine = and_(table.c.source_sha256 == source_sha256, table.c.breed == breed)
            connection.execute(delete(table).where(mine))


def _overrule(connection: Connection, entries: Iterable[tuple[str, str]]) -> None:
    for source_sha256, breed in sorted(entries):
        entry = update(sources_table).where(
            sources_table.c.source_sha256 == source_sha256, sources_table.c.breed == breed
        )
        detail = "the owner filed it under another breed"
        connection.execute(
            entry.values(outcome=Outcome.OVERRULED.value, reason=None, detail=detail)
        )


def _mend(connection: Connection, photo: Photo) -> None:
    """Write what a photo is now, and have its sources say the same."""
    row = update(photos_table).where(photos_table.c.photo_id == photo.photo_id)
    connection.execute(
        row.values(breed=photo.breed, group_id=photo.group_id, quarantine=photo.quarantine)
    )
    entry = sources_table.c
    back = update(sources_table).where(
        entry.photo_id == photo.photo_id,
        entry.breed == photo.breed,
        entry.outcome.in_((Outcome.CONFLICT.value, Outcome.OVERRULED.value)),
    )
    if photo.quarantine is None:
        added = entry.source_sha256 == photo.source_sha256
        said = case((added, Outcome.ADDED.value), else_=Outcome.EXACT_DUPLICATE.value)
        connection.execute(back.values(outcome=said, reason=None, detail=None))
    else:
        aside = Outcome.QUARANTINED.value
        detail = "no longer in conflict, and still out of use"
        connection.execute(back.values(outcome=aside, reason=photo.quarantine, detail=detail))


def _values(values: Iterable[str] | Iterable[int]) -> dict[str, str]:
    """Return the parameter of `_VALUES`."""
    return {"values": json.dumps(list(values))}


def _photo(row: Sequence[object]) -> Photo:
    values = dict(zip(_PHOTO_FIELDS, row, strict=True))
    side = values["split"]
    values["split"] = Split(str(side)) if side is not None else None
    values["origin"] = Origin(str(values["origin"]))
    return Photo(**values)  # type: ignore[arg-type]  # columns are the record's fields


def _source(row: Sequence[object]) -> Source:
    values = dict(zip(_SOURCE_FIELDS, row, strict=True))
    values["outcome"] = Outcome(str(values["outcome"]))
    return Source(**values)  # type: ignore[arg-type]  # columns are the record's fields


def _photo_values(photo: Photo) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(photo, name) for name in _PHOTO_FIELDS}
    values.update(zip(_BAND_FIELDS, bands(photo.phash), strict=True))
    return values


def _source_values(source: Source) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(source, name) for name in _SOURCE_FIELDS}
    values["path"] = ledger_path(source.path)
    values["detail"] = source.detail[:300] if source.detail else None
    return values
