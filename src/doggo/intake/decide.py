"""What becomes of each file: the rules for duplicates, conflicts and groups, as pure functions.

Owns the decision from facts (what the file holds, which stored photos resemble it) to outcomes.
Reads and writes nothing. The result does not depend on how files are cut into chunks, and which
pictures stay in use does not depend on their order as long as no photo has a side of the split.

A group is a set of photos that show the same picture (transitively). All of a group's members
have one breed, or all are set aside as `conflict`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from doggo.core.records import Origin, Outcome, Photo, QuarantineReason, Source
from doggo.intake.facts import Fact, Picture
from doggo.storage.photos import DAMAGED
from doggo.vision.perceptual import bands, hamming

MAX_HAMMING = 4
"""Bits in which the perceptual hashes of near duplicates may differ."""


class Likeness(Enum):
    """What comparing the pixels of two photos tells."""

    DIFFERENT = "different"
    NEAR = "near"  # the same picture, rescaled or encoded anew
    EQUAL = "equal"  # the same pixels


Compare = Callable[[str, str], Likeness]
"""Compares two photos, by photo_id; may decode them."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to decide on: where it was, its label, and what reading it told."""

    path: str
    breed: str | None
    problem: str | None
    fact: Fact


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one file became. `near` tells that an added photo joined a group."""

    source: Source
    near: bool = False


@dataclass(slots=True)
class Decision:
    """The effects that a chunk of files shall have.

    Attributes:
        rulings: one a file, in order.
        photos: to be stored, with their raw objects.
        restored: stored photos whose raw object shall be written again.
        set_aside: ids of photos that were in use before this chunk and are now in conflict.
        merged: group id → the group id that takes its place.
    """

    rulings: list[Ruling] = field(default_factory=list)
    photos: dict[str, Photo] = field(default_factory=dict)
    restored: set[str] = field(default_factory=set)
    set_aside: set[str] = field(default_factory=set)
    merged: dict[str, str] = field(default_factory=dict)


def decide(
    files: Sequence[File], stored: Iterable[Photo], compare: Compare, origin: Origin
) -> Decision:
    """Return what becomes of a chunk of files, taken one after another.

    Args:
        stored: every stored photo that resembles one of the files (equal bytes, or hashes
            within `MAX_HAMMING`), with all other members of its group.
        compare: asked for pairs within `MAX_HAMMING` only.
    """
    judge = _Judge(stored, compare, origin)
    for file in files:
        judge.decision.rulings.append(judge.rule(file))
    return judge.decision


class _Judge:
    """The stored photos as they change while the files of a chunk are ruled on."""

    def __init__(self, stored: Iterable[Photo], compare: Compare, origin: Origin) -> None:
        self.decision = Decision()
        self._compare = compare
        self._origin = origin
        self._photos: dict[str, Photo] = {}
        self._members: dict[str, set[str]] = defaultdict(set)
        self._by_band: dict[tuple[int, int], set[str]] = defaultdict(set)
        for photo in stored:
            self._learn(photo)

    def rule(self, file: File) -> Ruling:
        fact = file.fact
        if fact.reason is not None:
            return _quarantined(file, fact.reason, fact.detail)
        if file.breed is None or fact.picture is None:
            return _quarantined(file, QuarantineReason.NO_LABEL, file.problem)
        known = self._photos.get(fact.picture.photo_id)
        if known is not None:
            return self._rule_on_same_bytes(file, file.breed, known)
        return self._rule_on_picture(file, file.breed, fact.picture)

    def _rule_on_same_bytes(self, file: File, breed: str, known: Photo) -> Ruling:
        if known.quarantine == QuarantineReason.CONFLICT or known.breed != breed:
            self._set_aside({known.group_id})
            return _ruling(file, Outcome.CONFLICT, known.photo_id, _against(known))
        if known.quarantine in DAMAGED:
            self._photos[known.photo_id] = replace(known, quarantine=None)
            self.decision.restored.add(known.photo_id)
            return _ruling(file, Outcome.ADDED, known.photo_id, "its raw object was damaged")
        return _ruling(file, Outcome.EXACT_DUPLICATE, known.photo_id, "same picture data")

    def _rule_on_picture(self, file: File, breed: str, picture: Picture) -> Ruling:
        equal, near = self._matches(picture)
        matches = [*equal, *near]
        groups = {match.group_id for match in matches}
        against = next((m for m in matches if m.breed != breed), None) or next(
            (m for m in matches if m.quarantine == QuarantineReason.CONFLICT), None
        )
        if against is not None:
            self._set_aside(groups)
            if not equal:
                self._accept(file, breed, picture, groups, QuarantineReason.CONFLICT)
            photo_id = equal[0].photo_id if equal else picture.photo_id
            return _ruling(file, Outcome.CONFLICT, photo_id, _against(against))
        for match in equal:
            if match.quarantine is None:
                return _ruling(file, Outcome.EXACT_DUPLICATE, match.photo_id, "same pixels")
        if len(self._sides(groups)) > 1:
            detail = "a near duplicate of photos on two sides of the split"
            return _quarantined(file, QuarantineReason.LINKS_SIDES, detail)
        self._accept(file, breed, picture, groups, None)
        return _ruling(file, Outcome.ADDED, picture.photo_id, None, near=bool(matches))

    def _matches(self, picture: Picture) -> tuple[list[Photo], list[Photo]]:
        """Return the photos with equal pixels, and of the near duplicates one a group.

        Equal pixels have equal hashes, so those are all compared; of a group that is known to
        show the same picture nothing else is.
        """
        keys = enumerate(bands(picture.phash))
        sharing = set[str]().union(*(self._by_band.get(key, ()) for key in keys))
        candidates = sorted(
            (distance, photo_id)
            for photo_id in sharing
            if (distance := hamming(self._photos[photo_id].phash, picture.phash)) <= MAX_HAMMING
        )
        equal, near, confirmed = list[Photo](), list[Photo](), set[str]()
        for distance, photo_id in candidates:
            photo = self._photos[photo_id]
            if distance > 0 and photo.group_id in confirmed:
                continue
            likeness = self._compare(picture.photo_id, photo_id)
            if likeness is Likeness.EQUAL:
                equal.append(photo)
            elif likeness is Likeness.NEAR:
                near.append(photo)
            if likeness is not Likeness.DIFFERENT:
                confirmed.add(photo.group_id)
        return equal, near

    def _sides(self, groups: Iterable[str]) -> set[str]:
        photos = (self._photos[id_] for group in groups for id_ in self._members[group])
        return {photo.split for photo in photos if photo.split is not None}

    def _set_aside(self, groups: Iterable[str]) -> None:
        for photo_id in sorted(id_ for group in groups for id_ in self._members[group]):
            photo = self._photos[photo_id]
            if photo.quarantine != QuarantineReason.CONFLICT:
                aside = replace(photo, quarantine=QuarantineReason.CONFLICT.value)
                self._photos[photo_id] = aside
                self.decision.set_aside.add(photo_id)
                if photo_id in self.decision.photos:
                    self.decision.photos[photo_id] = aside

    def _accept(
        self,
        file: File,
        breed: str,
        picture: Picture,
        groups: set[str],
        quarantine: QuarantineReason | None,
    ) -> None:
        photo = Photo(
            photo_id=picture.photo_id,
            source_sha256=file.fact.source_sha256,
            breed=breed,
            raw_key=f"{breed}/{picture.photo_id}.{picture.extension}",
            width_px=picture.width_px,
            height_px=picture.height_px,
            phash=picture.phash,
            group_id=self._merge(groups) if groups else picture.photo_id,
            origin=self._origin,
            may_be_shown=self._origin is Origin.OWNER,
            quarantine=quarantine.value if quarantine else None,
        )
        self.decision.photos[photo.photo_id] = photo
        self._learn(photo)

    def _merge(self, groups: set[str]) -> str:
        """Make one group of several and return its id: one that has a side, if any has."""
        kept = min(groups, key=lambda group: (not self._sides({group}), group))
        for group in sorted(groups - {kept}):
            self.decision.merged[group] = kept
            for photo_id in self._members.pop(group):
                photo = replace(self._photos[photo_id], group_id=kept)
                self._photos[photo_id] = photo
                self._members[kept].add(photo_id)
                if photo_id in self.decision.photos:
                    self.decision.photos[photo_id] = photo
        return kept

    def _learn(self, photo: Photo) -> None:
        self._photos[photo.photo_id] = photo
        self._members[photo.group_id].add(photo.photo_id)
        for key in enumerate(bands(photo.phash)):
            self._by_band[key].add(photo.photo_id)


def _ruling(
    file: File, outcome: Outcome, photo_id: str, detail: str | None, *, near: bool = False
) -> Ruling:
    source = Source(
        source_sha256=file.fact.source_sha256,
        breed=file.breed or "",
        path=file.path,
        outcome=outcome,
        reason=QuarantineReason.CONFLICT.value if outcome is Outcome.CONFLICT else None,
        detail=detail,
        photo_id=photo_id,
    )
    return Ruling(source, near)


def _quarantined(file: File, reason: str, detail: str | None) -> Ruling:
    source = Source(
        source_sha256=file.fact.source_sha256,
        breed=file.breed or "",
        path=file.path,
        outcome=Outcome.QUARANTINED,
        reason=str(reason),
        detail=detail,
        read_by=file.fact.read_by,
    )
    return Ruling(source)


def _against(photo: Photo) -> str:
    return f"the same picture is filed under {photo.breed} as {photo.raw_key}"
