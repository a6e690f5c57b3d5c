"""What becomes of each file: the rules for duplicates and conflicts, as pure functions.

Owns the decision from facts (what the file holds, which stored photos resemble it) to outcomes.
Reads and writes nothing. The result does not depend on how files are cut into chunks, and which
pictures stay in use does not depend on their order as long as no photo has a side of the split.

All photos of a group, which show the same picture (`groups.py`), have one breed, or all are set
aside as `conflict`. What breed that is, the files say that stand: those that are still where they
were met (`walk.py`), and those of this intake. If a file says another breed than the group has, or
the group is in conflict, the files are asked again:

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
from dataclasses import dataclass, replace
from enum import Enum

from doggo.core.records import Origin, Outcome, Photo, QuarantineReason, Source
from doggo.intake.facts import Fact, Picture
from doggo.intake.groups import Groups, in_conflict
from doggo.intake.rulings import Decision, Ruling
from doggo.storage.ledger import DAMAGED


class Likeness(Enum):
    """What comparing the pixels of two photos tells."""

    DIFFERENT = "different"
    NEAR = "near"  # the same picture, rescaled or encoded anew
    EQUAL = "equal"  # the same pixels


Compare = Callable[[str, str], Likeness]
"""Compares two photos, by photo_id; may decode them."""

Standing = Callable[[Collection[str]], Sequence[tuple[Source, bool]]]
"""Returns the ledger's entries of photos, each with whether its file stands; may read files."""


_RESTORED = "its raw object was lost or damaged: it is written again"


@dataclass(frozen=True, slots=True)
class File:
    """A file to decide on: where it was, its label, and what reading it told."""

    path: str
    breed: str | None
    problem: str | None
    fact: Fact


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
    """Rules on the files of a chunk one after another, while its groups change."""

    def __init__(
        self, stored: Iterable[Photo], compare: Compare, standing: Standing, origin: Origin
    ) -> None:
        self.decision = Decision()
        self._compare = compare
        self._standing = standing
        self._origin = origin
        self._groups = Groups(stored, self.decision)
        self._said: dict[str, set[str]] = defaultdict(set)

    def take(self, ruling: Ruling) -> None:
        self.decision.rulings.append(ruling)
        if ruling.source.photo_id is not None:
            self._said[ruling.source.photo_id].add(ruling.source.breed)

    def rule_on_known(self, source: Source) -> Source:
        known = self._groups.find(source.photo_id or "")
        if known is None:
            return source
        self._said[known.photo_id].add(source.breed)
        if self._is_conflict(source.breed, {known.group_id}):
            reason = QuarantineReason.CONFLICT.value
            return replace(source, outcome=Outcome.CONFLICT, reason=reason, detail=None)
        same = source.source_sha256 == known.source_sha256
        outcome = Outcome.ALREADY_PRESENT if same else Outcome.EXACT_DUPLICATE
        return replace(source, outcome=outcome, reason=None, detail=None)

    def rule(self, file: File) -> Ruling:
        fact = file.fact
        if fact.reason is not None:
            return _quarantined(file, fact.reason, fact.detail)
        if file.breed is None or fact.picture is None:
            return _quarantined(file, QuarantineReason.NO_LABEL, file.problem)
        known = self._groups.find(fact.picture.photo_id)
        if known is not None:
            return self._rule_on_same_bytes(file, file.breed, known)
        return self._rule_on_picture(file, file.breed, fact.picture)

    def _rule_on_same_bytes(self, file: File, breed: str, known: Photo) -> Ruling:
        if self._is_conflict(breed, {known.group_id}):
            return _ruling(file, Outcome.CONFLICT, known.photo_id, None)
        known = self._groups[known.photo_id]
        if known.quarantine in DAMAGED:
            self._groups.restore(known)
            return _ruling(
                file,
                Outcome.ADDED,
                known.photo_id,
                _RESTORED,
            )
        itself = file.fact.source_sha256 == known.source_sha256
        if itself and known.photo_id in self.decision.mended:
            return _ruling(file, Outcome.ADDED, known.photo_id, None)
        return _ruling(file, Outcome.EXACT_DUPLICATE, known.photo_id, "same picture data")

    def _rule_on_picture(self, file: File, breed: str, picture: Picture) -> Ruling:
        equal, near = self._matches(picture)
        matches = [*equal, *near]
        groups = {match.group_id for match in matches}
        if self._is_conflict(breed, groups):
            if not equal:
                self._accept(file, breed, picture, groups, QuarantineReason.CONFLICT)
            photo_id = equal[0].photo_id if equal else picture.photo_id
            return _ruling(file, Outcome.CONFLICT, photo_id, None)
        for match in equal:
            if self._groups[match.photo_id].quarantine is None:
                return _ruling(file, Outcome.EXACT_DUPLICATE, match.photo_id, "same pixels")
        groups = {self._groups[match.photo_id].group_id for match in matches}
        if len(self._groups.sides(groups)) > 1:
            detail = "a near duplicate of photos on two sides of the split"
            return _quarantined(file, QuarantineReason.LINKS_SIDES, detail)
        self._accept(file, breed, picture, groups, None)
        return _ruling(file, Outcome.ADDED, picture.photo_id, None, near=bool(matches))

    def _matches(self, picture: Picture) -> tuple[list[Photo], list[Photo]]:
        """Return the photos with equal pixels, and of the near duplicates one a group.

        Equal pixels have equal hashes, so those are all compared; of a group that is known to
        show the same picture nothing else is.
        """
        equal, near, confirmed = list[Photo](), list[Photo](), set[str]()
        for distance, photo in self._groups.alike(picture.phash):
            if distance > 0 and photo.group_id in confirmed:
                continue
            likeness = self._compare(picture.photo_id, photo.photo_id)
            if likeness is Likeness.EQUAL:
                equal.append(photo)
            elif likeness is Likeness.NEAR:
                near.append(photo)
            if likeness is not Likeness.DIFFERENT:
                confirmed.add(photo.group_id)
        return equal, near

    def _is_conflict(self, breed: str, groups: Collection[str]) -> bool:
        """Return whether files stand that give groups another breed; else the groups have it."""
        members = self._groups.members(groups)
        if all(photo.breed == breed and not in_conflict(photo) for photo in members):
            return False
        entries = self._standing([photo.photo_id for photo in members])
        said = {source.breed for source, stands in entries if stands}
        said = said.union({breed}, *(self._said[photo.photo_id] for photo in members))
        if said != {breed}:
            self._groups.set_aside(groups)
            return True
        self.decision.retracted.update(
            (source.source_sha256, source.breed)
            for source, _ in entries
            if source.breed != breed and source.outcome is not Outcome.OVERRULED
        )
        for group in sorted(groups):
            self._groups.mend(group, breed, [source for source, _ in entries])
        return False

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
            group_id=self._groups.merge(groups) if groups else picture.photo_id,
            origin=self._origin,
            may_be_shown=self._origin is Origin.OWNER,
            quarantine=quarantine.value if quarantine else None,
        )
        self._groups.add(photo)


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
