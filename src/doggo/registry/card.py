"""The card of a version and what people are shown of it.

Owns `card.json` (written once, by register) and the rows of `doggo models`. Knows nothing of
gates or pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from doggo.core.errors import BundleError, StorageError
from doggo.storage.audit import Move
from doggo.storage.bundles import BundleStore
from doggo.vision.bundle import Bundle, bundle_sha256, bundle_values, parse_bundle

DATA_LICENCE = "photos: the owner's; the rights stay with their owners"


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What register knows about a version beyond its bundle; the store adds `version`.

    Attributes:
        metrics: figures by name; `validation_top1` and `test_top1` are shown in lists.
        weights_licence, data_licence: one line each.
        report: where the evaluation report lies, if there is one.
        created_at: UTC, ISO 8601.
    """

    name: str
    metrics: Mapping[str, float]
    weights_licence: str
    data_licence: str = DATA_LICENCE
    report: str | None = None
    created_at: str = ""

    def to_json(self) -> dict[str, object]:
        """Return the card as plain data."""
        return {**asdict(self), "metrics": dict(self.metrics)}


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionRow:
    """One version as `doggo models` shows it.

    Attributes:
        problem: why its bundle cannot be read; everything else is then empty.
        moves: the audit records that put it into production.
    """

    version: int
    in_production: bool
    name: str = ""
    recipe: str = ""
    labels: tuple[str, ...] = ()
    sha256: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    created_at: str = ""
    report: str | None = None
    bundle: Bundle | None = None
    card: Mapping[str, object] = field(default_factory=dict)
    moves: tuple[Move, ...] = ()
    problem: str | None = None

    def cells(self) -> list[str]:
        """Return mark, version, name, recipe, breeds, both top-1 and date, for a table."""
        return [
            "*" if self.in_production else "",
            str(self.version),
            self.problem or self.name,
            self.recipe,
            str(len(self.labels)) if self.labels else "",
            self._percent("validation_top1"),
            self._percent("test_top1"),
            self.created_at[:16].replace("T", " "),
        ]

    def to_json(self) -> dict[str, object]:
        """Return the version as plain data, with its whole bundle record."""
        return {
            "version": self.version,
            "production": self.in_production,
            "sha256": self.sha256,
            "problem": self.problem,
            "card": dict(self.card),
            "bundle": None if self.bundle is None else bundle_values(self.bundle),
            "moves": [move.to_json() for move in self.moves],
        }

    def to_text(self) -> str:
        """Return the version as lines for a person."""
        head = f"version {self.version}{' (production)' if self.in_production else ''}"
        if self.bundle is None:
            return f"{head}\n  {self.problem}"
        bundle, parity, view = self.bundle, self.bundle.parity, self.bundle.view
        facts = {
            "name": f"{self.name}, recipe {self.recipe}, made {self.created_at}",
            "sha256": self.sha256,
            "breeds": f"{len(self.labels)}: {', '.join(self.labels)}",
            "view": f"{view.mode} {view.size_px} px of {view.short_side_px} px",
            "pixels": f"{bundle.decoder}; step {bundle.step}",
            "temperature": f"{bundle.temperature:.3f}",
            "thresholds": (
                f"no dog below a dog mass of {bundle.thresholds.dog_mass:.3f}, unsure below a "
                f"probability of {bundle.thresholds.breed_probability:.3f} or a known share of "
                f"{bundle.thresholds.known_share:.3f}"
            ),
            "calibration": bundle.calibration,
            "parity": (
                f"largest difference {parity.max_difference:.1e}, same answer on "
                f"{parity.top1_agreement:.1%} of {parity.photos} photos"
            ),
            "metrics": ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.items()),
            "dataset": bundle.manifest_id or "none",
            "run": bundle.run_id or "none",
            "revision": bundle.git_revision,
            "report": self.report or "none",
        }
        lines = [f"  {name:<12} {value}" for name, value in facts.items()]
        lines += [
            f"  {'runtime':<12} {trial.pair.name} {trial.ms_per_photo:.1f} ms a photo, top-1 "
            f"{100 * trial.top1_difference:+.1f} points ({100 * trial.low:+.1f} to "
            f"{100 * trial.high:+.1f}, {trial.photos} photos)"
            for trial in bundle.trials
        ]
        lines += [f"  {'move':<12} {move.at} {move.actor}: {move.to_text()}" for move in self.moves]
        return "\n".join([head, *lines])

    def _percent(self, name: str) -> str:
        return f"{self.metrics[name]:.1%}" if name in self.metrics else ""


def read_row(store: BundleStore, version: int, moves: tuple[Move, ...]) -> VersionRow:
    """Return what the store knows about a version; a damaged one is a row with its problem."""
    pointer = store.production()
    in_production = pointer is not None and pointer.version == version
    folder = store.papers(version)
    try:
        bundle, card = parse_bundle(folder), store.card(version)
    except (BundleError, StorageError) as error:
        return VersionRow(version=version, in_production=in_production, problem=str(error))
    metrics = card.get("metrics")
    report = card.get("report")
    return VersionRow(
        version=version,
        in_production=in_production,
        name=bundle.name,
        recipe=bundle.recipe,
        labels=bundle.labels,
        sha256=bundle_sha256(folder),
        metrics=metrics if isinstance(metrics, dict) else {},
        created_at=str(card.get("created_at", "")),
        report=report if isinstance(report, str) else None,
        bundle=bundle,
        card=card,
        moves=tuple(move for move in moves if move.to_version == version),
    )
