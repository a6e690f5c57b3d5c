"""Groups of photos that show the same picture (transitively), while files are ruled on.

Owns how a group grows, merges, parts, is set aside and is mended, and notes each change in a
decision. Knows none of the rules for when (`decide.py`). Reads and writes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from doggo.core.records import Outcome, Photo, QuarantineReason, Source
from doggo.intake.rulings import Decision
from doggo.vision.perceptual import bands, hamming

MAX_HAMMING = 4
"""Bits in which the perceptual hashes of near duplicates may differ."""


class Groups:
    """The photos that are stored or about to be, by id, by group and by what they look like."""

    def __init__(self, stored: Iterable[Photo], decision: Decision) -> None:
        self._decision = decision
        self._photos: dict[str, Photo] = {}
        self._members: dict[str, set[str]] = defaultdict(set)
        self._by_band: dict[tuple[int, int], set[str]] = defaultdict(set)
        for photo in stored:
            self._learn(photo)

    def find(self, photo_id: str) -> Photo | None:
        """Return a photo as it is now, or None if it is unknown."""
        return self._photos.get(photo_id)

    def __getitem__(self, photo_id: str) -> Photo:
        return self._photos[photo_id]

    def members(self, groups: Iterable[str]) -> list[Photo]:
        """Return all photos of some groups."""
        return [self._photos[id_] for group in groups for id_ in self._members[group]]

    def sides(self, groups: Iterable[str]) -> set[str]:
        """Return the sides of the split that photos of some groups have."""
        return {photo.split for photo in self.members(groups) if photo.split is not None}

    def alike(self, phash: str) -> list[tuple[int, Photo]]:
        """Return the photos within `MAX_HAMMING` of a hash with their distance, nearest first."""
        keys = enumerate(bands(phash))
        sharing = set[str]().union(*(self._by_band.get(key, ()) for key in keys))
        near = sorted(
            (distance, photo_id)
            for photo_id in sharing
            if (distance := hamming(self._photos[photo_id].phash, phash)) <= MAX_HAMMING
        )
        return [(distance, self._photos[photo_id]) for distance, photo_id in near]

    def add(self, photo: Photo) -> None:
        """Take in a new photo, which is to be stored."""
        self._decision.photos[photo.photo_id] = photo
        self._learn(photo)

    def restore(self, photo: Photo) -> None:
        """Put a photo back into use whose raw object was lost and is to be written again."""
        self._photos[photo.photo_id] = replace(photo, quarantine=None)
        self._decision.restored.add(photo.photo_id)

    def merge(self, groups: set[str]) -> str:
        """Make one group of several and return its id: one that has a side, if any has."""
        kept = min(groups, key=lambda group: (not self.sides({group}), group))
        for group in sorted(groups - {kept}):
            self._decision.merged[group] = kept
            for photo_id in self._members.pop(group):
                photo = replace(self._photos[photo_id], group_id=kept)
                self._photos[photo_id] = photo
                self._members[kept].add(photo_id)
                if photo_id in self._decision.photos:
                    self._decision.photos[photo_id] = photo
        return kept

    def set_aside(self, groups: Iterable[str]) -> None:
        """Put all photos of some groups into conflict."""
        for photo in sorted(self.members(groups), key=lambda photo: photo.photo_id):
            if not in_conflict(photo):
                aside = replace(photo, quarantine=QuarantineReason.CONFLICT.value)
                self._photos[photo.photo_id] = aside
                self._decision.set_aside.add(photo.photo_id)
                if photo.photo_id in self._decision.photos:
                    self._decision.photos[photo.photo_id] = aside

    def mend(self, group: str, breed: str, entries: Sequence[Source]) -> None:
        """Give a group a breed and put it back into use, but for what is out of it otherwise.

        Args:
            entries: what the ledger says of its photos.
        """
        sides = self.sides({group})
        aside = {
            source.photo_id: source.reason
            for source in entries
            if source.outcome is Outcome.QUARANTINED
        }
        for photo_id in sorted(self._members[group]):
            photo = self._photos[photo_id]
            quarantine = photo.quarantine
            if in_conflict(photo):
                linking = photo.split is None and len(sides) > 1
                quarantine = QuarantineReason.LINKS_SIDES if linking else aside.get(photo_id)
            mended = replace(photo, breed=breed, quarantine=quarantine and str(quarantine))
            if mended != photo:
                self._photos[photo_id] = self._decision.mended[photo_id] = mended
                self._decision.set_aside.discard(photo_id)
        if len(sides) > 1:
            self._part(group)

    def _part(self, group: str) -> None:
        """Part a group whose photos have several sides: a newcomer in conflict had linked them."""
        by_side = defaultdict[str, list[str]](list)
        for photo_id in sorted(self._members[group]):
            by_side[self._photos[photo_id].split or ""].append(photo_id)
        by_side.pop("", None)  # out of use: they stay with the first
        _, *others = sorted(by_side.values(), key=lambda ids: (group not in ids, ids))
        for ids in others:
            for photo_id in ids:
                self._members[group].discard(photo_id)
                self._members[ids[0]].add(photo_id)
                photo = replace(self._photos[photo_id], group_id=ids[0])
                self._photos[photo_id] = self._decision.mended[photo_id] = photo

    def _learn(self, photo: Photo) -> None:
        self._photos[photo.photo_id] = photo
        self._members[photo.group_id].add(photo.photo_id)
        for key in enumerate(bands(photo.phash)):
            self._by_band[key].add(photo.photo_id)


def in_conflict(photo: Photo) -> bool:
    """Whether a photo is out of use because its files name several breeds."""
    return photo.quarantine == QuarantineReason.CONFLICT
