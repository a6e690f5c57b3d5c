"""Where the canonical pixels of photos lie: the index over all shards.

Owns the `pixels` table. A photo may have pixels for several keys (short side, decoder, owner's
step). Knows nothing of how shards are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from doggo.storage.database import pixels_table, transaction


@dataclass(frozen=True, slots=True)
class PixelKey:
    """What pixels depend on beside the photo: same bytes and same key, same pixels."""

    short_side_px: int
    decoder: str
    step: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where one photo's pixels lie: `offset` is in bytes into the shard's array."""

    photo_id: str
    offset: int
    height_px: int
    width_px: int

    @property
    def values(self) -> tuple[str, int, int, int]:
        """The fields in order (ten times as fast as dataclasses.astuple)."""
        return self.photo_id, self.offset, self.height_px, self.width_px

    @property
    def size_bytes(self) -> int:
        return self.height_px * self.width_px * 3


class PixelIndex:
    """The places of all pixels of one key."""

    def __init__(self, engine: Engine, key: PixelKey) -> None:
        self.engine = engine
        self.key = key

    def places(self) -> dict[str, tuple[str, Place]]:
        """Return photo_id → (shard, place) for every photo that has pixels."""
        columns = pixels_table.c
        query = select(
            columns.shard, columns.photo_id, columns.offset, columns.height_px, columns.width_px
        ).where(*self._is_ours())
        with transaction(self.engine) as connection:
            return {row[1]: (row[0], Place(*row[1:])) for row in connection.execute(query)}

    def add(self, shards: Mapping[str, Sequence[Place]]) -> None:
        """Make finished shards count: one transaction, and safe to repeat."""
        rows = [
            {
                "photo_id": place.photo_id,
                "short_side_px": self.key.short_side_px,
                "decoder": self.key.decoder,
                "step": self.key.step,
                "shard": shard,
                "offset": place.offset,
                "height_px": place.height_px,
                "width_px": place.width_px,
            }
            for shard, places in shards.items()
            for place in places
        ]
        if rows:
            with transaction(self.engine) as connection:
                connection.execute(insert(pixels_table).on_conflict_do_nothing(), rows)

    def forget_shards(self, shards: Iterable[str]) -> None:
        """Drop the places in shards that are lost, so that their photos are decoded again."""
        with transaction(self.engine) as connection:
            for shard in shards:
                connection.execute(delete(pixels_table).where(pixels_table.c.shard == shard))

    def shard_sizes(self) -> Mapping[str, int]:
        """Return shard → the least number of bytes that its array must have, for every key."""
        columns = pixels_table.c
        end = func.max(columns.offset + columns.height_px * columns.width_px * 3)
        with transaction(self.engine) as connection:
            rows = connection.execute(select(columns.shard, end).group_by(columns.shard)).all()
        return {shard: int(size) for shard, size in rows}

    def _is_ours(self) -> tuple[ColumnElement[bool], ...]:
        columns = pixels_table.c
        return (
            columns.short_side_px == self.key.short_side_px,
            columns.decoder == self.key.decoder,
            columns.step == self.key.step,
        )
