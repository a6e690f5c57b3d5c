"""How one dataset differs from another, for a person to read. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from doggo.core.records import Manifest, ManifestRow, Split

_Counts = defaultdict[str, Counter[str]]
"""Photos by breed and by what became of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BreedChange:
    """What changed for one breed, in photos.

    Attributes:
        removed: no longer there, those set aside not included.
        set_aside: no longer there because of quarantine, by reason.
        relabelled: photos that came from another breed.
    """

    breed: str
    before: int
    after: int
    added: int
    removed: int
    set_aside: Mapping[str, int]
    relabelled: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestDiff:
    """The difference of two manifests.

    Attributes:
        settings: one line for each setting that differs.
        breeds: those that changed, by name.
        sides: (before, after) photos a side.
    """

    old_id: str
    new_id: str
    settings: tuple[str, ...]
    breeds: tuple[BreedChange, ...]
    sides: Mapping[Split, tuple[int, int]]

    def to_json(self) -> dict[str, object]:
        """Return it as plain data."""
        return {
            "old_id": self.old_id,
            "new_id": self.new_id,
            "splits": {
                side.value: {"before": before, "after": after}
                for side, (before, after) in self.sides.items()
            },
            "settings": list(self.settings),
            "breeds": [asdict(change) for change in self.breeds],
        }

    def __str__(self) -> str:
        before, after = (sum(counts) for counts in zip(*self.sides.values(), strict=True))
        lines = [f"dataset {self.old_id} → {self.new_id}: {before} → {after} photos"]
        for side, (old, new) in self.sides.items():
            lines.append(f"  {side.value:<12}{old:>7} → {new:>6}")
        lines += [f"  {line}" for line in self.settings]
        for change in self.breeds:
            lines.append(f"  {change.breed}: {change.before} → {change.after}{_words(change)}")
        if not self.breeds and not self.settings:
            lines.append("  the same photos")
        return "\n".join(lines)


def diff(
    old: Manifest, new: Manifest, quarantined: Mapping[str, str] | None = None
) -> ManifestDiff:
    """Return what changed from `old` to `new`; `str()` of it is the text for a person.

    Args:
        quarantined: photo_id → reason of photos now out of use, to tell them from those that
            are only not selected.
    """
    changes, aside = _changes(old, new, quarantined or {})
    before_counts, after_counts = _by_breed(old.rows), _by_breed(new.rows)
    return ManifestDiff(
        old_id=old.manifest_id,
        new_id=new.manifest_id,
        settings=tuple(_settings(old, new)),
        breeds=tuple(
            BreedChange(
                breed=breed,
                before=before_counts[breed],
                after=after_counts[breed],
                added=changes[breed]["added"],
                removed=changes[breed]["removed"],
                set_aside=dict(aside[breed]),
                relabelled=changes[breed]["relabelled"],
            )
            for breed in sorted({*changes, *aside})
        ),
        sides={side: (len(old.of(side)), len(new.of(side))) for side in Split},
    )


def _changes(
    old: Manifest, new: Manifest, quarantined: Mapping[str, str]
) -> tuple[_Counts, _Counts]:
    """Return how many photos of each breed changed and how, and were set aside and why."""
    old_rows = {row.photo_id: row for row in old.rows}
    new_rows = {row.photo_id: row for row in new.rows}
    changes, aside = _Counts(Counter), _Counts(Counter)
    for photo_id, row in new_rows.items():
        before = old_rows.get(photo_id)
        if before is None:
            changes[row.breed]["added"] += 1
        elif before.breed != row.breed:
            changes[row.breed]["relabelled"] += 1
            changes[before.breed]["removed"] += 1
    for photo_id, row in old_rows.items():
        if photo_id not in new_rows:
            reason = quarantined.get(photo_id)
            if reason is None:
                changes[row.breed]["removed"] += 1
            else:
                aside[row.breed][reason] += 1
    return changes, aside


def _by_breed(rows: Iterable[ManifestRow]) -> Counter[str]:
    return Counter(row.breed for row in rows)


def _settings(old: Manifest, new: Manifest) -> Iterable[str]:
    for name in ("short_side_px", "decoder", "step", "seed"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield f"{name}: {before} → {after}"


def _words(change: BreedChange) -> str:
    parts = [
        f"{count} {what}"
        for count, what in (
            (change.added, "added"),
            (change.relabelled, "relabelled"),
            (change.removed, "removed"),
        )
        if count
    ]
    parts += [f"{count} set aside ({why})" for why, count in sorted(change.set_aside.items())]
    return f" ({', '.join(parts)})" if parts else ""
