"""What scoring a model told: as JSON, or in the words of the report for a person."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from doggo.core.breeds import title
from doggo.core.records import Manifest, Split
from doggo.evaluate.evaluation import UNSEEN, Learned

_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class Scored:
    """An evaluation in figures, and where its report lies.

    Attributes:
        photos: those that were given, also such as are in no figure.
        headline: figure by name, shares in [0, 1].
        learned: how many of the photos the model was fitted on; None: it cannot be told.
        unknown_breeds: photos of breeds that the model has not, by breed: in no figure.
        unlabelled: files for which nothing named a breed: not looked at.
    """

    version: int | None
    data: str
    photos: int
    headline: dict[str, float]
    report: Path
    learned: Learned | None = UNSEEN
    caveats: Sequence[str] = ()
    unknown_breeds: Mapping[str, int] = field(default_factory=dict)
    unlabelled: int = 0

    def to_json(self) -> dict[str, object]:
        return {
            "version": self.version,
            "data": self.data,
            "photos": self.photos,
            "metrics": self.headline,
            "report": str(self.report),
            "learned_from": asdict(self.learned) if self.learned else None,
            "caveats": list(self.caveats),
            "unknown_breeds": dict(self.unknown_breeds),
            "unlabelled": self.unlabelled,
        }

    def to_text(self) -> str:
        lines = [f"{self.data}: {self.photos:,} photos", *_figures(self.headline)]
        lines += [f"left out: {line}" for line in self._left_out()]
        lines += [f"note: {caveat}" for caveat in self.caveats]
        return "\n".join([*lines, f"report: {self.report}"])

    def _left_out(self) -> Iterator[str]:
        if self.unknown_breeds:
            most = sorted(self.unknown_breeds.items(), key=lambda item: (-item[1], item[0]))
            names = ", ".join(f"{title(breed)} {n:,}" for breed, n in most[:_LISTED])
            more = f" and {len(most) - _LISTED:,} more breeds" if len(most) > _LISTED else ""
            count = _photos(sum(self.unknown_breeds.values()))
            yield f"{count} of breeds that the model has not ({names}{more})"
        if unread := int(self.headline["not_scored"]):
            yield f"{_photos(unread)} that could not be read; the report says why"
        if self.unlabelled:
            files = "file" if self.unlabelled == 1 else "files"
            yield f"{self.unlabelled:,} {files} for which neither folder nor name says the breed"


def why_untested(labels: Collection[str], manifest: Manifest | None) -> str | None:
    """Return why a model of these breeds cannot be tested on a dataset, None if it can."""
    rows = manifest.of(Split.TEST) if manifest else ()
    if not rows:
        return "there are no test photos yet"
    breeds = sorted({row.breed for row in rows})
    if not set(breeds).isdisjoint(labels):
        return None
    names = ", ".join(title(breed) for breed in breeds[:_LISTED])
    more = ", ..." if len(breeds) > _LISTED else ""
    return f"no test photo is of a breed that it knows, but of {names}{more}"


def _figures(headline: Mapping[str, float]) -> list[str]:
    """Return the figures of an evaluation in the words of its report."""
    from doggo.evaluate.evaluation import Share
    from doggo.evaluate.report import interval, percent

    n = round(headline["photos"])
    named = round(headline["named"] * n)

    def share(name: str, of: int) -> tuple[str, str]:
        proportion = Share(hits=round(headline.get(name, 0) * of), n=of)
        return percent(proportion.value), f"95 % interval {interval(proportion)}" if of else ""

    right, among = share("named_precision", named)
    names = f"it names a breed for {percent(headline['named'])}"
    auroc = headline.get("macro_auroc")
    rows = [
        ("first guess right", *share("top1", n)),
        ("in the first three", *share("top3", n)),
        ("right when sure", right, f"{among}; {names}" if among else names),
        (
            "calibration error",
            percent(headline["ece"]),
            f"{percent(headline['ece_before'])} before the temperature",
        ),
        ("balanced accuracy", percent(headline["balanced_accuracy"]), ""),
        ("macro AUROC", "–" if auroc is None else f"{auroc:.4f}", ""),
        ("log-loss", f"{headline['log_loss']:.3f}", ""),
        ("area under risk–coverage", f"{headline['aurc']:.4f}", ""),
        ("answerable at 95 % right", percent(headline["coverage_at_95"]), "with hindsight"),
        ("time a photo, in bulk", f"{headline['ms_per_photo']:.1f} ms", ""),
    ]
    return [f"  {name:<26}{value:>8}  {more}".rstrip() for name, value, more in rows]


def _photos(count: int) -> str:
    return "1 photo" if count == 1 else f"{count:,} photos"
