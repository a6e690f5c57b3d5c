"""What becomes of each file: the rules for duplicates, conflicts and groups, as pure functions.

Owns the decision from facts (what the file holds, which stored photos resemble it) to outcomes.
Reads and writes nothing. The result does not depend on how files are cut into chunks, and which
pictures stay in use does not depend on their order as long as no photo has a side of the split.

A group is a set of photos that show the same picture (transitively). All of a group's members
have one breed, or all are set aside as `conflict`. What breed that is, the files say that stand:
those that are still where they were met (`walk.py`), and those of this intake. If a file says
another breed than the group has, or the group is in conflict, the files are asked again:

    they agree      the group is mended: it takes their breed and is in use again; entries of the
                    ledger that say otherwise are retracted. Sides and groups stay.
    they do not     a conflict, in whatever order the files came.

So a file that was moved to another folder relabels its photo, and the deletion of a wrong copy
releases one. During one intake the files that stand only become more: what is mended may turn into
a conflict, and not the other way round.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from doggo.core.records import Origin, Outcome, Photo, QuarantineReason, Source
from doggo.intake.facts import Fact, Picture
from doggo.storage.photos import DAMAGED, HOW_TO_SOLVE
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

Standing = Callable[[Collection[str]], Sequence[tuple[Source, bool]]]
"""Returns the ledger's entries of photos, each with whether its file stands; may read files."""


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
        mended: stored photos by id, as they are now: with another breed, or no more in conflict.
            One that is in `set_aside` too came into conflict after that.
        retracted: (source_sha256, breed) of the ledger's entries that no longer stand.
        met: what became of the files that the ledger knew, in order.
    """

    rulings: list[Ruling] = field(default_factory=list)
    photos: dict[str, Photo] = field(default_factory=dict)
    restored: set[str] = field(default_factory=set)
    set_aside: set[str] = field(default_factory=set)
    merged: dict[str, str] = field(default_factory=dict)
    mended: dict[str, Photo] = field(default_factory=dict)
    retracted: set[tuple[str, str]] = field(default_factory=set)
    met: list[Source] = field(default_factory=list)


def decide(
    files: Sequence[File],
    stored: Iterable[Photo],
    compare: Compare,
    standing: Standing,
    origin: Origin,
    known: Iterable[Source] = (),
) -> Decision:
    """Return what becomes of a chunk of files, taken one after another.

    Args:
        stored: every stored photo that resembles one of the files (equal bytes, or hashes
            within `MAX_HAMMING`), with all other members of its group.
        compare: asked for pairs within `MAX_HAMMING` only.
        standing: asked for the photos of groups only whose breed is in question.
        known: entries of files that were met again and whose photo's breed is in question.
    """
    judge = _Judge(stored, compare, standing, origin)
    for file in files:
        judge.take(judge.rule(file))
    for source in known:
        judge.decision.met.append(judge.rule_on_known(source))
    return judge.decision


class _Judge:
    """The stored photos as they change while the files of a chunk are ruled on."""

    def __init__(
        self, stored: Iterable[Photo], compare: Compare, standing: Standing, origin: Origin
    ) -> None:
        self.decision = Decision()
        self._compare = compare
        self._standing = standing
        self._origin = origin
        self._photos: dict[str, Photo] = {}
        self._members: dict[str, set[str]] = defaultdict(set)
        self._by_band: dict[tuple[int, int], set[str]] = defaultdict(set)
        self._said: dict[str, set[str]] = defaultdict(set)
        for photo in stored:
            self._learn(photo)

    def take(self, ruling: Ruling) -> None:
        self.decision.rulings.append(ruling)
        if ruling.source.photo_id is not None:
            self._said[ruling.source.photo_id].add(ruling.source.breed)

    def rule_on_known(self, source: Source) -> Source:
        known = self._photos.get(source.photo_id or "")
        if known is None:
            return source
        self._said[known.photo_id].add(source.breed)
        if self._is_conflict(source.breed, {known.group_id}):
            reason, detail = QuarantineReason.CONFLICT.value, _against(known, source.breed)
            return replace(source, outcome=Outcome.CONFLICT, reason=reason, detail=detail)
        same = source.source_sha256 == known.source_sha256
        outcome = Outcome.ALREADY_PRESENT if same else Outcome.EXACT_DUPLICATE
        return replace(source, outcome=outcome, reason=None, detail=None)

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
        if self._is_conflict(breed, {known.group_id}):
            return _ruling(file, Outcome.CONFLICT, known.photo_id, _against(known, breed))
        known = self._photos[known.photo_id]
        if known.quarantine in DAMAGED:
            self._photos[known.photo_id] = replace(known, quarantine=None)
            self.decision.restored.add(known.photo_id)
            return _ruling(file, Outcome.ADDED, known.photo_id, "its raw object was damaged")
        itself = file.fact.source_sha256 == known.source_sha256
        if itself and known.photo_id in self.decision.mended:
            return _ruling(file, Outcome.ADDED, known.photo_id, None)
        return _ruling(file, Outcome.EXACT_DUPLICATE, known.photo_id, "same picture data")

    def _rule_on_picture(self, file: File, breed: str, picture: Picture) -> Ruling:
        equal, near = self._matches(picture)
        matches = [*equal, *near]
        groups = {match.group_id for match in matches}
        if self._is_conflict(breed, groups):
            against = next((m for m in matches if m.breed != breed), matches[0])
            if not equal:
                self._accept(file, breed, picture, groups, QuarantineReason.CONFLICT)
            photo_id = equal[0].photo_id if equal else picture.photo_id
            return _ruling(file, Outcome.CONFLICT, photo_id, _against(against, breed))
        for match in equal:
            if self._photos[match.photo_id].quarantine is None:
                return _ruling(file, Outcome.EXACT_DUPLICATE, match.photo_id, "same pixels")
        groups = {self._photos[match.photo_id].group_id for match in matches}
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

    def _is_conflict(self, breed: str, groups: Collection[str]) -> bool:
        """Return whether files stand that give groups another breed; else the groups have it."""
        members = [self._photos[id_] for group in groups for id_ in self._members[group]]
        if all(photo.breed == breed and not _in_conflict(photo) for photo in members):
            return False
        entries = self._standing([photo.photo_id for photo in members])
        said = {source.breed for source, stands in entries if stands}
        said = said.union({breed}, *(self._said[photo.photo_id] for photo in members))
        if said != {breed}:
            self._set_aside(groups)
            return True
        self.decision.retracted.update(
            (source.source_sha256, source.breed)
            for source, _ in entries
            if source.breed != breed and source.outcome is not Outcome.OVERRULED
        )
        for group in sorted(groups):
            self._mend(group, breed, [source for source, _ in entries])
        return False

    def _mend(self, group: str, breed: str, entries: Sequence[Source]) -> None:
        """Give a group a breed and put it back into use, but for what is out of it otherwise."""
        sides = self._sides({group})
        aside = {
            source.photo_id: source.reason
            for source in entries
            if source.outcome is Outcome.QUARANTINED
        }
        for photo_id in sorted(self._members[group]):
            photo = self._photos[photo_id]
            quarantine = photo.quarantine
            if _in_conflict(photo):
                linking = photo.split is None and len(sides) > 1
                quarantine = QuarantineReason.LINKS_SIDES if linking else aside.get(photo_id)
            mended = replace(photo, breed=breed, quarantine=quarantine and str(quarantine))
            if mended != photo:
                self._photos[photo_id] = self.decision.mended[photo_id] = mended
                self.decision.set_aside.discard(photo_id)
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
                self._photos[photo_id] = self.decision.mended[photo_id] = photo

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


def _in_conflict(photo: Photo) -> bool:
    return photo.quarantine == QuarantineReason.CONFLICT


def _against(photo: Photo, breed: str) -> str:
    other = f"{photo.breed} as {photo.raw_key}" if photo.breed != breed else "another breed too"
    return f"the same picture is filed under {other}: {HOW_TO_SOLVE}"
