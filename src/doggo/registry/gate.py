"""The gate: may this version go into production?

Pure: facts in, decision out. Owns the rule and its words. Knows nothing of folders, pixels or
how an answer is computed.

Legend: N photos.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from doggo.core.metrics import paired_bootstrap_difference

LARGEST_LOSS = 0.01
"""The lower 95 % bound of the top-1 difference must not be below minus this: one point."""

Hits = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Challenger and champion on the same photos of breeds that both know.

    Attributes:
        champion: version in production.
        shared: breeds that both know.
        challenger_hits, champion_hits: bool [N], whether the best breed was right.
        problem: why there is nothing to compare, in words; None if there is.
    """

    champion: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    shared: int
    challenger_hits: Hits
    champion_hits: Hits
    problem: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GateFacts:
    """What the gate looks at.

    Attributes:
        problems: what the absolute checks found (hashes, parity, smoke test).
        comparison: None if nothing is in production.
        accept_labels: the owner accepts another set of breeds.
        force: the owner's reason to overrule; it overrules no absolute check.
    """

    version: int
    problems: tuple[str, ...]
    comparison: Comparison | None
    accept_labels: bool = False
    force: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GateDecision:
    """What the gate says.

    Attributes:
        reasons: what speaks against it; empty if all checks passed.
        notes: what was looked at and found in order.
        forced: there are reasons and the owner overruled them.
        difference, low, high: top-1 of challenger minus champion as a fraction, with its 95 %
            interval, over `photos` photos; None if nothing was compared.
        moved: production was moved (filled in by `registry.run`).
    """

    version: int
    champion: int | None
    allowed: bool
    forced: bool
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    photos: int = 0
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    added: tuple[str, ...] = field(default=())
    removed: tuple[str, ...] = field(default=())
    moved: bool = False

    def to_json(self) -> dict[str, object]:
        """Return the decision as plain data."""
        return {
            "version": self.version,
            "champion": self.champion,
            "allowed": self.allowed,
            "moved": self.moved,
            "forced": self.forced,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "photos": self.photos,
            "top1_difference": self.difference,
            "low": self.low,
            "high": self.high,
            "added_breeds": list(self.added),
            "removed_breeds": list(self.removed),
        }

    def to_text(self) -> str:
        """Return the decision as lines for a person."""
        if not self.allowed:
            verdict = f"version {self.version} was refused"
        elif self.moved:
            verdict = f"version {self.version} is in production"
        else:
            verdict = f"version {self.version} may go into production"
        verdict += " (forced)" if self.forced else ""
        lines = [f"  ✗ {reason}" for reason in self.reasons]
        return "\n".join([verdict, *lines, *(f"  ✓ {note}" for note in self.notes)])


def judge(facts: GateFacts) -> GateDecision:
    """Return whether a version may become production, and why.

    Absolute checks: hashes, parity, smoke test; nothing overrules them. Against the champion:
    the same set of breeds (or `accept_labels`), and a top-1 that is surely not a point lower on
    validation photos of the breeds that both know (paired bootstrap, 95 %). `force` overrules
    these two.
    """
    notes = [] if facts.problems else ["hashes, parity and smoke test pass"]
    against: list[str] = []
    measured: tuple[float, float, float] | None = None
    comparison, photos = facts.comparison, 0
    if comparison is None:
        notes.append("nothing is in production to compare with")
    else:
        photos = len(comparison.challenger_hits)
        _look_at_labels(comparison, facts.accept_labels, against, notes)
        if photos:
            measured = paired_bootstrap_difference(
                comparison.challenger_hits, comparison.champion_hits
            )
            _look_at_top1(comparison, measured, photos, against, notes)
        elif comparison.shared or comparison.problem:
            problem = comparison.problem or "there are no validation photos of a breed both know"
            against.append(
                f"it cannot be compared with version {comparison.champion}: {problem}; run "
                "`doggo preprocess` on labelled photos, or overrule with --force REASON"
            )
        else:
            notes.append("it shares no breed with production: there is nothing to compare")
    forced = bool(against) and not facts.problems and facts.force is not None
    difference, low, high = measured or (None, None, None)
    return GateDecision(
        version=facts.version,
        champion=None if comparison is None else comparison.champion,
        allowed=not facts.problems and (not against or forced),
        forced=forced,
        reasons=(*facts.problems, *against),
        notes=tuple(notes),
        photos=photos,
        difference=difference,
        low=low,
        high=high,
        added=() if comparison is None else comparison.added,
        removed=() if comparison is None else comparison.removed,
    )


def _look_at_labels(
    comparison: Comparison, accepted: bool, against: list[str], notes: list[str]
) -> None:
    if not comparison.added and not comparison.removed:
        notes.append("the same breeds as production")
        return
    changes = [
        f"{word} {', '.join(breeds)}"
        for word, breeds in (("adds", comparison.added), ("removes", comparison.removed))
        if breeds
    ]
    words = f"it {' and '.join(changes)}"
    if accepted:
        notes.append(f"{words}, as accepted")
    else:
        against.append(f"{words}: accept another set of breeds with --accept-labels")


def _look_at_top1(
    comparison: Comparison,
    measured: tuple[float, float, float],
    photos: int,
    against: list[str],
    notes: list[str],
) -> None:
    difference, low, high = (100 * value for value in measured)
    words = (
        f"top-1 {difference:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}) against "
        f"version {comparison.champion} on {photos} validation photos"
    )
    if measured[1] >= -LARGEST_LOSS:
        notes.append(words)
    else:
        against.append(f"{words}: it may have lost more than {100 * LARGEST_LOSS:g} point")
