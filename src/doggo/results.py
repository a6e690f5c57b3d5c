"""What the flow hands back to whoever called it: as JSON, or as lines for a person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from doggo.core.records import Manifest, QuarantineReason, Split
from doggo.scored import Scored
from doggo.storage.conflicts import HOW_TO_SOLVE

if TYPE_CHECKING:
    from doggo.intake.report import Finding, IntakeReport
    from doggo.preprocess.diff import ManifestDiff
    from doggo.preprocess.made import LeftOut
    from doggo.train.run import ExperimentResult

_LISTED = 10
_NAMED = 3
_ALIKE = 3


def intake_text(report: IntakeReport) -> str:
    """Return what an intake did: counts, then whatever an owner should look at.

    One that brought nothing new is one line.
    """
    if report.is_repeat:
        return _repeat_text(report)
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
    lines += _listed("restored", _reasons([item for item in report.added if item.detail]))
    for name in ("relabelled", "conflicts", "withdrawn", "quarantined", "ignored"):
        lines += _listed(name, _reasons(counts.get(name, report.withdrawn)))
    if report.conflicts or report.withdrawn:
        lines.append(f"  {HOW_TO_SOLVE}")
    for breed in report.new_breeds:
        meant = f"; did you mean {breed.nearest}?" if breed.nearest else ""
        lines.append(f"  new breed: {breed.breed}, {breed.files:,} photos{meant}")
    return "\n".join(["intake", *lines])


def _repeat_text(report: IntakeReport) -> str:
    here = len(report.already_present) + len(report.exact_duplicates)
    aside = len(report.conflicts) + len(report.quarantined)
    text = f"nothing new: {here:,} photos are here already"
    if aside:
        text += f", {aside:,} set aside (`doggo quarantine` says why)"
    if report.ignored:
        text += f", {len(report.ignored):,} ignored (--json says why)"
    return text


def _reasons(found: Sequence[Finding]) -> list[tuple[str, str]]:
    return [(item.path, item.detail or item.reason or "") for item in found]


def _listed(name: str, found: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield a line a file with its reason; many of one folder with the same reason share one.

    Args:
        found: path or URL, and reason.
    """
    alike = defaultdict[tuple[str, str], list[str]](list)
    for path, reason in found:
        alike[path.rpartition("/")[0] or ".", reason].append(path)
    lines = list[tuple[str, int]]()
    for (folder, reason), paths in alike.items():
        if len(paths) > _ALIKE:
            what = _without_folder(name) if folder == "." else f"files in {folder}"
            few = ", ".join(PurePath(path).name for path in paths[:_NAMED])
            lines.append((f"{len(paths):,} {what} ({few}, ...): {reason}", len(paths)))
        else:
            lines += [(f"{path}: {reason}", 1) for path in paths]
    yield from (f"  {name}: {line}" for line, _ in lines[:_LISTED])
    if left := sum(files for _, files in lines[_LISTED:]):
        yield f"  {name}: and {left:,} more: --json has them all"


def _without_folder(name: str) -> str:
    """Return what a list's lines are where no file is told: photos by id, or a labels file's."""
    return "photos" if name in ("relabelled", "withdrawn") else "names"


def nothing_usable(report: IntakeReport, paths: Sequence[Path | str]) -> str:
    """Return one line that says why none of the files became a photo, and what to do."""
    aside = [*report.quarantined, *report.conflicts]
    if not aside:
        return _no_picture(report, paths)
    counts = Counter(item.reason or "unknown" for item in aside)
    why = ", ".join(f"{n:,} {reason}" for reason, n in counts.most_common())
    what = "`doggo quarantine` lists each file with its reason"
    if QuarantineReason.NO_LABEL in counts:
        what = f"name a folder after each breed, or give --labels CSV; {what}"
    return f"none of the {len(aside):,} files can be used ({why}): {what}"


def _no_picture(report: IntakeReport, paths: Sequence[Path | str]) -> str:
    given = ", ".join(str(path) for path in paths)
    others = report.ignored
    names = ", ".join(PurePath(item.path).name for item in others[:_NAMED])
    more = ", ..." if len(others) > _NAMED else ""
    files = "other file" if len(others) == 1 else "other files"
    return f"there is no picture in {given}: it has {len(others):,} {files} ({names}{more})"


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
class Released:
    """A version that training or bootstrap made, and whether it went into production.

    Attributes:
        promoted: whether `production` points to it now.
        refused: the gate was asked and said no.
        decision: what the gate said, or how the version left production, in words; one line each.
        untested: why it has no figures, if it was made now and could not be tested.
        already: it had been made before, from the same data and settings.
    """

    version: int
    name: str
    promoted: bool
    refused: bool = False
    decision: Sequence[str]
    scored: Scored | None
    timings: Sequence[Timing]
    untested: str | None = None
    already: bool = False

    def to_json(self) -> dict[str, object]:
        return {
            "version": self.version,
            "name": self.name,
            "promoted": self.promoted,
            "refused": self.refused,
            "decision": list(self.decision),
            "evaluation": self.scored.to_json() if self.scored else None,
            "untested": self.untested,
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
        if self.untested:
            lines.append(
                f"  not tested: {self.untested}; `doggo evaluate {self.version} --photos DIR` "
                "scores it on labelled photos"
            )
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A dataset, and how it differs from the one before.

    Attributes:
        change: None for the first dataset.
        left_out: photos in use that could not be decoded this time.
    """

    manifest: Manifest
    change: ManifestDiff | None
    left_out: Sequence[LeftOut] = ()

    @property
    def is_as_before(self) -> bool:
        """Whether it is the dataset that there was before."""
        return self.change is not None and self.change.old_id == self.change.new_id

    def to_json(self) -> dict[str, object]:
        manifest = self.manifest
        return {
            "manifest_id": manifest.manifest_id,
            "photos": len(manifest.rows),
            "breeds": len(manifest.breeds),
            "splits": {split.value: len(manifest.of(split)) for split in Split},
            "short_side_px": manifest.short_side_px,
            "left_out": [asdict(one) for one in self.left_out],
            "change": self.change.to_json() if self.change else None,
        }

    def to_text(self) -> str:
        manifest = self.manifest
        sides = ", ".join(f"{len(manifest.of(split)):,} {split.value}" for split in Split)
        text = (
            f"dataset {manifest.manifest_id}: {len(manifest.rows):,} photos of "
            f"{len(manifest.breeds)} breeds ({sides})"
        )
        lines = [f"{text}: the same photos as before" if self.is_as_before else text]
        if self.left_out:
            lines.append(f"  left out this time: {len(self.left_out):,}; they stay in use")
            lines += _listed("left out", [(one.raw_uri, one.detail) for one in self.left_out])
        if self.change and not self.is_as_before:
            lines.append(str(self.change))
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The whole way: what intake found, the dataset, the version.

    Attributes:
        is_repeat: nothing new came in.
    """

    intake: dict[str, object]
    intake_text: str
    is_repeat: bool = False
    prepared: Prepared
    released: Released
    timings: Sequence[Timing]

    def to_json(self) -> dict[str, object]:
        dataset = self.prepared.to_json()
        return {
            "intake": self.intake,
            "manifest_id": dataset["manifest_id"],
            "photos": dataset["photos"],
            "left_out": dataset["left_out"],
            "change": dataset["change"],
            **self.released.to_json(),
            "timings_s": {timing.stage: round(timing.seconds, 2) for timing in self.timings},
        }

    @property
    def changed_nothing(self) -> bool:
        """Whether photos, dataset and version are those of before, and the gate was not asked."""
        released = self.released
        as_before = self.is_repeat and self.prepared.is_as_before and not self.prepared.left_out
        return as_before and released.already and not released.decision

    def to_text(self) -> str:
        released = self.released
        if self.changed_nothing:
            where = "is in production" if released.promoted else "is NOT in production"
            version = f"version {released.version} ({released.name}) was made from them and {where}"
            return f"{self.intake_text}; {version}"
        return "\n".join((self.intake_text, self.prepared.to_text(), released.to_text()))


@dataclass(frozen=True, kw_only=True)
class Synced:
    """What became of aliases that were moved in the tracker's pages."""

    lines: Sequence[str]

    def to_json(self) -> dict[str, object]:
        return {"actions": list(self.lines)}

    def to_text(self) -> str:
        return "\n".join(self.lines) or "the tracker and production agree"
