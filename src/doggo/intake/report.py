"""What an intake did, file by file: the sum that `--json` prints.

Owns the counts and how they change when a later file puts an earlier one into conflict. Knows
nothing of how the outcomes were found.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import TypedDict

from doggo.core.breeds import BREEDS, nearest
from doggo.core.records import Outcome, QuarantineReason, Source
from doggo.storage.conflicts import Conflicts


@dataclass(slots=True)
class Finding:
    """One file and what became of it."""

    path: str
    breed: str | None
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class NewBreed:
    """A breed outside the known ones, how many files name it, and what it may have meant."""

    breed: str
    files: int
    nearest: str | None


class ReportJson(TypedDict):
    added: int
    relabelled: int
    already_present: int
    exact_duplicates: int
    near_duplicates: int
    conflicts: int
    quarantined: int
    details: dict[str, list[dict[str, object]]]


@dataclass(slots=True)
class IntakeReport:
    """The files of one intake by outcome.

    Attributes:
        relabelled: photos of earlier intakes that have another breed now, or are in use again
            after a conflict; by their file, or by their id if none was met.
        near_duplicates: those of `added` that joined a group of the same picture.
        withdrawn: photos of earlier intakes that this one put into conflict, by their file.
        ignored: what was no candidate at all (hidden, not a picture and not called one, ...).
        new_breeds: breeds outside the 120 known ones.
        is_repeat: whether the files brought nothing new, not even to the quarantine; whoever
            knows what there was before says so.
    """

    added: list[Finding] = field(default_factory=list)
    relabelled: list[Finding] = field(default_factory=list)
    already_present: list[Finding] = field(default_factory=list)
    exact_duplicates: list[Finding] = field(default_factory=list)
    near_duplicates: list[Finding] = field(default_factory=list)
    conflicts: list[Finding] = field(default_factory=list)
    quarantined: list[Finding] = field(default_factory=list)
    withdrawn: list[Finding] = field(default_factory=list)
    ignored: list[Finding] = field(default_factory=list)
    new_breeds: list[NewBreed] = field(default_factory=list)
    is_repeat: bool = False

    def to_json(self) -> ReportJson:
        """Return counts, and the files under `details`."""
        lists = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del lists["is_repeat"]
        return {
            "added": len(self.added),
            "relabelled": len(self.relabelled),
            "already_present": len(self.already_present),
            "exact_duplicates": len(self.exact_duplicates),
            "near_duplicates": len(self.near_duplicates),
            "conflicts": len(self.conflicts),
            "quarantined": len(self.quarantined),
            "details": {
                name: [
                    {key: _printable(value) for key, value in asdict(item).items()}
                    for item in items
                ]
                for name, items in lists.items()
            },
        }


_HEADINGS = {
    Outcome.ADDED: "added",
    Outcome.ALREADY_PRESENT: "already_present",
    Outcome.EXACT_DUPLICATE: "exact_duplicates",
    Outcome.CONFLICT: "conflicts",
    Outcome.QUARANTINED: "quarantined",
    Outcome.OVERRULED: "exact_duplicates",
}
_IN_USE = (Outcome.ADDED, Outcome.ALREADY_PRESENT, Outcome.EXACT_DUPLICATE)


class Tally:
    """Collects outcomes while intake runs; a file's outcome may still turn into a conflict."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._by_photo: dict[str, list[_Line]] = defaultdict(list)
        self._aside: set[str] = set()
        self._mended: dict[str, Finding] = {}
        self._ignored: list[Finding] = []
        self._breeds: Counter[str] = Counter()

    def add(self, source: Source, *, near: bool = False) -> None:
        """Count a file."""
        finding = Finding(source.path, source.breed or None, source.reason, source.detail)
        line = _Line(finding, source.outcome, near)
        self._lines.append(line)
        if source.photo_id is not None:
            self._by_photo[source.photo_id].append(line)
            # Since the ledger was asked about this file:
            if source.photo_id in self._aside:
                line.set_aside()
            elif source.photo_id in self._mended:
                line.put_back()
        if source.breed:
            self._breeds[source.breed] += 1

    def ignore(self, path: str, reason: str) -> None:
        """Note a thing that is no candidate."""
        self._ignored.append(Finding(path, None, detail=reason))

    def set_aside(self, photo_ids: Collection[str]) -> None:
        """Turn the files of these photos into conflicts."""
        self._aside.update(photo_ids)
        for photo_id in photo_ids:
            self._mended.pop(photo_id, None)
            for line in self._by_photo.get(photo_id, ()):
                line.set_aside()

    def mend(self, photo_id: str, breed: str, was: str) -> None:
        """Note that a photo of an earlier intake has another breed, or is in use again."""
        self._mended[photo_id] = Finding(photo_id, breed, detail=f"was {was}")
        self._aside.discard(photo_id)
        for line in self._by_photo.get(photo_id, ()):
            line.put_back()

    @property
    def in_conflict(self) -> set[str]:
        """The ids of the photos of which a file is in conflict, or which were withdrawn."""
        return self._aside.union(
            photo_id
            for photo_id, lines in self._by_photo.items()
            if any(line.outcome is Outcome.CONFLICT for line in lines)
        )

    def report(self, conflicts: Conflicts) -> IntakeReport:
        """Return the sum of all that was counted.

        Args:
            conflicts: of the photos `in_conflict`.
        """
        for photo_id, lines in self._by_photo.items():
            for line in lines:
                if line.outcome is Outcome.CONFLICT:
                    line.finding.detail = conflicts.against(photo_id, line.finding.breed or "")
        earlier = sorted(self._aside - self._by_photo.keys())
        report = IntakeReport(
            withdrawn=[_withdrawn(photo_id, conflicts) for photo_id in earlier],
            ignored=self._ignored,
        )
        for photo_id, finding in self._mended.items():
            report.relabelled.append(self._listed_as_relabelled(photo_id, finding))
        for line in self._lines:
            if line.outcome is None:
                continue
            getattr(report, _HEADINGS[line.outcome]).append(line.finding)
            if line.near and line.outcome is Outcome.ADDED:
                report.near_duplicates.append(line.finding)
        known = frozenset(BREEDS)
        report.new_breeds = [
            NewBreed(breed, files, nearest(breed))
            for breed, files in sorted(self._breeds.items())
            if breed not in known
        ]
        return report

    def _listed_as_relabelled(self, photo_id: str, finding: Finding) -> Finding:
        """Take a photo's first file out of the other lists and return it, else the photo itself."""
        lines = self._by_photo.get(photo_id, [])
        for line in lines:
            if line.outcome in _IN_USE:
                line.outcome = Outcome.EXACT_DUPLICATE
        if not lines:
            return finding
        lines[0].outcome, lines[0].finding.detail = None, finding.detail
        return lines[0].finding


def _withdrawn(photo_id: str, conflicts: Conflicts) -> Finding:
    path, breed = conflicts.file_of(photo_id)
    detail = f"accepted by an earlier intake; {conflicts.against(photo_id, breed)}"
    return Finding(path, breed, QuarantineReason.CONFLICT.value, detail)


@dataclass(slots=True)
class _Line:
    finding: Finding
    outcome: Outcome | None  # None: listed as relabelled
    near: bool

    def set_aside(self) -> None:
        if self.outcome in _IN_USE:
            self.outcome = Outcome.CONFLICT
            self.finding.reason = QuarantineReason.CONFLICT.value
            self.finding.detail = None

    def put_back(self) -> None:
        if self.outcome is Outcome.CONFLICT:
            self.outcome = Outcome.ALREADY_PRESENT
            self.finding.reason = self.finding.detail = None


def _printable(value: object) -> object:
    """Replace the bytes in a file name that are no text, so that any JSON reader takes it."""
    return os.fsencode(value).decode("utf-8", "replace") if isinstance(value, str) else value
