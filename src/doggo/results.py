"""What the flow hands back to whoever called it: as JSON, or as lines for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from doggo.core.records import Manifest, QuarantineReason, Split

if TYPE_CHECKING:
    from doggo.intake.report import IntakeReport
    from doggo.preprocess.diff import ManifestDiff
    from doggo.train.run import ExperimentResult

_LISTED = 10


def intake_text(report: IntakeReport) -> str:
    """Return what an intake did: counts, then whatever an owner should look at."""
    counts = {
        "added": report.added,
        "relabelled": report.relabelled,
        "already present": report.already_present,
        "exact duplicates": report.exact_duplicates,
        "near duplicates (kept, one side)": report.near_duplicates,
        "conflicts": report.conflicts,
        "quarantined": report.quarantined,
        "ignored": report.ignored,
    }
    lines = [f"  {name:<34} {len(found):>7,}" for name, found in counts.items()]
    for name in ("relabelled", "conflicts", "withdrawn", "quarantined"):
        found = counts.get(name, report.withdrawn)
        lines += [
            f"  {name}: {item.path}: {item.detail or item.reason}" for item in found[:_LISTED]
        ]
        if len(found) > _LISTED:
            lines.append(f"  ... and {len(found) - _LISTED:,} more (--json lists all)")
    for breed in report.new_breeds:
        meant = f"; did you mean {breed.nearest}?" if breed.nearest else ""
        lines.append(f"  new breed: {breed.breed}, {breed.files:,} photos{meant}")
    return "\n".join(["intake", *lines])


def nothing_usable(report: IntakeReport) -> str:
    """Return one line that says why none of the files became a photo, and what to do."""
    aside = [*report.quarantined, *report.conflicts]
    counts = Counter(item.reason or "unknown" for item in aside)
    why = ", ".join(f"{n:,} {reason}" for reason, n in counts.most_common())
    what = "`doggo quarantine` lists each file with its reason"
    if QuarantineReason.NO_LABEL in counts:
        what = f"name a folder after each breed, or give --labels CSV; {what}"
    return f"none of the {len(aside):,} files can be used ({why}): {what}"


def experiment_json(outcome: ExperimentResult) -> dict[str, object]:
    """Return an experiment as plain data."""
    values = {**asdict(outcome), "config": outcome.config.to_json(), "labels": list(outcome.labels)}
    del values["metrics"]
    return values


def experiment_text(outcome: ExperimentResult) -> str:
    """Return an experiment as lines for a person."""
    return (
        f"experiment {outcome.run_id or '(not tracked)'}: {len(outcome.labels)} breeds, "
        f"{outcome.train_photos:,} photos to train, {outcome.validation_photos:,} to validate\n"
        f"  validation top-1        {outcome.start_top1:.4f} -> {outcome.val_top1:.4f}\n"
        f"  validation macro AUROC  {outcome.start_macro_auroc:.4f} -> "
        f"{outcome.val_macro_auroc:.4f}\n"
        f"  best epoch {outcome.best_epoch} of {outcome.epochs}, {outcome.seconds:.1f} s; "
        "nothing was registered"
    )


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall time of one stage."""

    stage: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Scored:
    """An evaluation in figures, and where its report lies.

    Attributes:
        headline: figure by name, shares in [0, 1].
    """

    version: int | None
    data: str
    photos: int
    headline: dict[str, float]
    report: Path
    caveats: Sequence[str] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "version": self.version,
            "data": self.data,
            "photos": self.photos,
            "metrics": self.headline,
            "report": str(self.report),
            "caveats": list(self.caveats),
        }

    def to_text(self) -> str:
        figures = "\n".join(f"  {name:<28} {value:.4f}" for name, value in self.headline.items())
        notes = "".join(f"\nnote: {caveat}" for caveat in self.caveats)
        return f"{self.data}: {self.photos:,} photos\n{figures}{notes}\nreport: {self.report}"


@dataclass(frozen=True, kw_only=True)
class Released:
    """A version that training or bootstrap made, and whether it went into production.

    Attributes:
        promoted: whether `production` points to it now.
        decision: what the gate said, in words; one line each.
        already: it had been made before, from the same data and settings.
    """

    version: int
    name: str
    promoted: bool
    decision: Sequence[str]
    scored: Scored | None
    timings: Sequence[Timing]
    already: bool = False

    def to_json(self) -> dict[str, object]:
        return {
            "version": self.version,
            "name": self.name,
            "promoted": self.promoted,
            "decision": list(self.decision),
            "evaluation": self.scored.to_json() if self.scored else None,
            "timings_s": {timing.stage: round(timing.seconds, 2) for timing in self.timings},
            "already": self.already,
        }

    def to_text(self) -> str:
        lines = [f"version {self.version} ({self.name})"]
        if self.already:
            lines[0] += " was already made from these photos and settings"
        lines += [f"  {line}" for line in self.decision]
        lines.append("  in production" if self.promoted else "  NOT in production")
        if self.scored:
            lines.append(self.scored.to_text())
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A dataset, and how it differs from the one before.

    Attributes:
        change: None for the first dataset.
    """

    manifest: Manifest
    change: ManifestDiff | None

    def to_json(self) -> dict[str, object]:
        manifest = self.manifest
        return {
            "manifest_id": manifest.manifest_id,
            "photos": len(manifest.rows),
            "breeds": len(manifest.breeds),
            "splits": {split.value: len(manifest.of(split)) for split in Split},
            "short_side_px": manifest.short_side_px,
            "change": self.change.to_json() if self.change else None,
        }

    def to_text(self) -> str:
        manifest = self.manifest
        sides = ", ".join(f"{len(manifest.of(split)):,} {split.value}" for split in Split)
        text = (
            f"dataset {manifest.manifest_id}: {len(manifest.rows):,} photos of "
            f"{len(manifest.breeds)} breeds ({sides})"
        )
        return f"{text}\n{self.change}" if self.change else text


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The whole way: what intake found, the dataset, the version."""

    intake: dict[str, object]
    intake_text: str
    prepared: Prepared
    released: Released
    timings: Sequence[Timing]

    def to_json(self) -> dict[str, object]:
        dataset = self.prepared.to_json()
        return {
            "intake": self.intake,
            "manifest_id": dataset["manifest_id"],
            "photos": dataset["photos"],
            "change": dataset["change"],
            **self.released.to_json(),
            "timings_s": {timing.stage: round(timing.seconds, 2) for timing in self.timings},
        }

    def to_text(self) -> str:
        return "\n".join((self.intake_text, self.prepared.to_text(), self.released.to_text()))


@dataclass(frozen=True, kw_only=True)
class Synced:
    """What became of aliases that were moved in the tracker's pages."""

    lines: Sequence[str]

    def to_json(self) -> dict[str, object]:
        return {"actions": list(self.lines)}

    def to_text(self) -> str:
        return "\n".join(self.lines) or "the tracker and production agree"
