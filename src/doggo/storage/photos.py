"""Photos in the database: what is known of each, their groups and their sides.

Owns the queries on them, the transaction that changes photos and ledger (`ledger.py`) together,
and the lock that lets one command at a time do that. Knows none of the rules that decide what is
written (`intake/decide.py`, `preprocess/split.py`). Where a photo's pixels lie is in `pixels.py`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.dialects.sqlite import insert

from doggo.core.errors import StorageError
from doggo.core.os_errors import explain_os_error
from doggo.core.records import Origin, Outcome, Photo, QuarantineReason, Source, Split
from doggo.storage import ledger
from doggo.storage.database import VALUES, photos_table, transaction, values_of
from doggo.storage.ledger import Ledger
from doggo.vision.perceptual import bands

_FIELDS = tuple(field.name for field in fields(Photo))
_BAND_FIELDS = tuple(f"band_{place}" for place in range(5))
_COLUMNS = [photos_table.c[name] for name in _FIELDS]
_BAND_COLUMNS = [photos_table.c[name] for name in _BAND_FIELDS]
_USED = photos_table.c.quarantine.is_(None)
_GROUPS = select(photos_table.c.group_id).where(photos_table.c.photo_id.in_(VALUES))
_NEAR_BY_BAND = [
    select(column, photos_table.c.phash, photos_table.c.group_id).where(column.in_(VALUES))
    for column in _BAND_COLUMNS
]
_GROUPS_OF_MEMBERS = select(photos_table.c.photo_id, photos_table.c.group_id)
_MEMBERS = select(*_COLUMNS).where(photos_table.c.group_id.in_(VALUES))


@dataclass(frozen=True, slots=True)
class Removal:
    """A photo to take out of use: its reason, and one line for a person."""

    photo_id: str
    reason: str
    detail: str


class PhotoStore:
    """The photos that this installation knows. Every change is one transaction.

    Attributes:
        ledger: what became of the files that were handed in.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ledger = Ledger(engine)

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

    def alike(self, photo_ids: Sequence[str], hashes: Sequence[str], within: int) -> list[Photo]:
        """Return the stored photos that may show the same pictures, with their whole groups.

        Args:
            photo_ids: sha256 of raw objects to look for.
            hashes: perceptual hashes to look for.
            within: largest Hamming distance, at most 4 (what the five indexed bands find).
        """
        cut = [bands(phash) for phash in hashes]
        with transaction(self.engine) as connection:
            groups = set(connection.execute(_GROUPS, values_of(photo_ids)).scalars().all())
            for place in range(len(_BAND_COLUMNS)):
                by_band = defaultdict[int, list[int]](list)
                for phash, parts in zip(hashes, cut, strict=True):
                    by_band[parts[place]].append(int(phash, 16))
                groups |= _groups_near(connection, place, by_band, within)
            rows = connection.execute(_MEMBERS, values_of(groups)).all()
        return [_photo(row) for row in rows]

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
            ledger.forget_unread(connection, met_again)
            ledger.forget(connection, retracted)
            ledger.overrule(connection, overruled)
            for photo in mended:
                _mend(connection, photo)
            for old, new in merged.items():
                moved = update(photos_table).where(photos_table.c.group_id == old)
                connection.execute(moved.values(group_id=new))
            if photos:
                connection.execute(insert(photos_table), [_values(photo) for photo in photos])
            if restored:
                _restore(connection, restored)
            ledger.enter(connection, sources)
            aside = QuarantineReason.CONFLICT.value, "filed under two breeds"
            for photo_id in sorted(set_aside):
                _set_aside(connection, Outcome.CONFLICT, Removal(photo_id, *aside))

    def remove(self, removals: Iterable[Removal]) -> None:
        """Take photos out of use; they stay in the tables and leave later manifests."""
        with transaction(self.engine) as connection:
            for gone in removals:
                _set_aside(connection, Outcome.QUARANTINED, gone)

    def used(self, origin: Origin) -> list[Photo]:
        """Return the photos in use, by breed and photo_id."""
        query = select(*_COLUMNS).where(_USED, photos_table.c.origin == origin.value)
        with transaction(self.engine) as connection:
            rows = connection.execute(
                query.order_by(photos_table.c.breed, photos_table.c.photo_id)
            ).all()
        return [_photo(row) for row in rows]

    def groups(self, photo_ids: Collection[str]) -> dict[str, str]:
        """Return the group of each of these photos, and of all others in those groups, by id."""
        with transaction(self.engine) as connection:
            groups = connection.execute(_GROUPS, values_of(photo_ids)).scalars().all()
            members = _GROUPS_OF_MEMBERS.where(photos_table.c.group_id.in_(VALUES))
            rows = connection.execute(members, values_of(set(groups))).all()
        return {row.photo_id: row.group_id for row in rows}

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
                    photos_table.c.photo_id.in_(VALUES), photos_table.c.split.is_(None)
                )
                connection.execute(sided.values(split=side.value), values_of(photo_ids))


def _groups_near(
    connection: Connection, place: int, by_band: Mapping[int, Sequence[int]], within: int
) -> set[str]:
    """Return the groups of photos that share a band with a hash and are near enough."""
    found = set[str]()
    sharing = connection.execute(_NEAR_BY_BAND[place], values_of(by_band)).all()
    for band, phash, group_id in sharing:
        number = int(phash, 16)
        for other in by_band[band]:
            if (number ^ other).bit_count() <= within:
                found.add(group_id)
    return found


def _mend(connection: Connection, photo: Photo) -> None:
    row = update(photos_table).where(photos_table.c.photo_id == photo.photo_id)
    connection.execute(
        row.values(breed=photo.breed, group_id=photo.group_id, quarantine=photo.quarantine)
    )
    ledger.follow(connection, photo)


def _restore(connection: Connection, photo_ids: Collection[str]) -> None:
    back = update(photos_table).where(photos_table.c.photo_id.in_(VALUES))
    connection.execute(back.values(quarantine=None), values_of(photo_ids))
    ledger.follow_restored(connection, photo_ids)


def _set_aside(connection: Connection, outcome: Outcome, gone: Removal) -> None:
    photo = update(photos_table).where(photos_table.c.photo_id == gone.photo_id)
    connection.execute(photo.values(quarantine=gone.reason))
    ledger.follow_aside(connection, gone.photo_id, outcome, gone.reason, gone.detail)


def _photo(row: Sequence[object]) -> Photo:
    values = dict(zip(_FIELDS, row, strict=True))
    side = values["split"]
    values["split"] = Split(str(side)) if side is not None else None
    values["origin"] = Origin(str(values["origin"]))
    return Photo(**values)  # type: ignore[arg-type]  # columns are the record's fields


def _values(photo: Photo) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(photo, name) for name in _FIELDS}
    values.update(zip(_BAND_FIELDS, bands(photo.phash), strict=True))
    return values
