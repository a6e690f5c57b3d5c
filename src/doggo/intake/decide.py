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

from doggo.core.records import Origin, Outcome, Photo, QuarantineReason, Source
from doggo.intake.facts import Fact, Picture
from doggo.storage.photos import DAMAGED
from doggo.vision.perceptual import bands, hamming

MAX_HAMMING = 4
"""Bits in which the perceptual hashes of near duplicates may differ."""

SamePicture = Callable[[str, str], bool]
"""Whether two photos, by photo_id, show the same picture; may decode them."""


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
    files: Sequence[File], stored: Iterable[Photo], same: SamePicture, origin: Origin
) -> Decision:
    """Return what becomes of a chunk of files, taken one after another.

    Args:
        stored: every stored photo that resembles one of the files (equal bytes or pixels, or
            hashes within `MAX_HAMMING`), with all other members of its group.
        same: asked for pairs within `MAX_HAMMING` only, once for a group.
    """
    judge = _Judge(stored, same, origin)
    for file in files:
        judge.decision.rulings.append(judge.rule(file))
    return judge.decision


class _Judge:
    """The stored photos as they change while the files of a chunk are ruled on."""

    def __init__(self, stored: Iterable[Photo], same: SamePicture, origin: Origin) -> None:
        self.decision = Decision()
        self._same = same
        self._origin = origin
        self._photos: dict[str, Photo] = {}
        self._members: dict[str, set[str]] = defaultdict(set)
        self._by_pixels: dict[str, set[str]] = defaultdict(set)
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
        matches = self._matches(picture)
        groups = {match.group_id for match in matches}
        against = next((m for m in matches if m.breed != breed), None) or next(
            (m for m in matches if m.quarantine == QuarantineReason.CONFLICT), None
        )
        if against is not None:
            self._set_aside(groups)
            twin = against if against.pixel_sha256 == picture.pixel_sha256 else None
            if twin is None:
                self._accept(file, breed, picture, groups, QuarantineReason.CONFLICT)
            photo_id = twin.photo_id if twin else picture.photo_id
            return _ruling(file, Outcome.CONFLICT, photo_id, _against(against))
        for match in matches:
            if match.pixel_sha256 == picture.pixel_sha256 and match.quarantine is None:
                return _ruling(file, Outcome.EXACT_DUPLICATE, match.photo_id, "same pixels")
        if len(self._sides(groups)) > 1:
            detail = "a near duplicate of photos on two sides of the split"
            return _quarantined(file, QuarantineReason.LINKS_SIDES, detail)
        self._accept(file, breed, picture, groups, None)
        return _ruling(file, Outcome.ADDED, picture.photo_id, None, near=bool(matches))

    def _matches(self, picture: Picture) -> list[Photo]:
        """Return stored photos of the same picture: all equal ones, else one a group."""
        found = [
            self._photos[photo_id] for photo_id in sorted(self._by_pixels[picture.pixel_sha256])
        ]
        confirmed = {photo.group_id for photo in found}
        near = set[str]().union(*(self._by_band[key] for key in enumerate(bands(picture.phash))))
        for photo_id in sorted(near):
            photo = self._photos[photo_id]
            if (
                photo.group_id not in confirmed
                and hamming(photo.phash, picture.phash) <= MAX_HAMMING
                and self._same(picture.photo_id, photo_id)
            ):
                confirmed.add(photo.group_id)
                found.append(photo)
        return found

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
            pixel_sha256=picture.pixel_sha256,
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
        self._by_pixels[photo.pixel_sha256].add(photo.photo_id)
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
    )
    return Ruling(source)


def _against(photo: Photo) -> str:
    return f"the same picture is filed under {photo.breed} as {photo.raw_key}"
