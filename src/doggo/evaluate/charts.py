"""Small drawings for the report, as inline SVG that follows the page's light or dark colours.

Owns coordinates, axes and marks; colours are classes of the page's style sheet. Every text in a
drawing is a number or a word of this module, never a name from the data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from doggo.evaluate.evaluation import Bin, RiskPoint, Share, Verdicts

_WIDTH, _HEIGHT = 440, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 14, 12, 44
_ROW_WIDTH, _ROW_HEIGHT, _ROW_EDGE = 116, 14, 5
_FEW = 10  # photos in a bin below which its share is mostly chance


class _Plane:
    """Maps x in [0, 1] and y in [0, top] to the pixels of a drawing with both axes."""

    def __init__(self, top: float) -> None:
        self.top = top

    def x(self, value: float) -> float:
        return round(_LEFT + value * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(_HEIGHT - _BOTTOM - value / self.top * (_HEIGHT - _TOP - _BOTTOM), 1)

    def axes(self, x_title: str, y_title: str) -> str:
        marks = []
        for step in range(5):
            x, y = self.x(step / 4), self.y(self.top * step / 4)
            marks.append(
                f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
                f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">'
                f"{_label(self.top * step / 4)}</text>"
                f'<text x="{x}" y="{_HEIGHT - _BOTTOM + 17}" text-anchor="middle">'
                f"{_label(step / 4)}</text>"
            )
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        return "".join(marks) + (
            f'<text class="name" x="{self.x(0.5)}" y="{_HEIGHT - 5}" text-anchor="middle">'
            f"{x_title}</text>"
            f'<text class="name" transform="translate(11 {middle}) rotate(-90)" '
            f'text-anchor="middle">{y_title}</text>'
        )

    def path(self, points: Sequence[tuple[float, float]], css: str) -> str:
        steps = " L".join(f"{self.x(x)} {self.y(y)}" for x, y in points)
        return f'<path class="{css}" d="M{steps}"/>' if points else ""


def reliability(before: Sequence[Bin], after: Sequence[Bin]) -> Markup:
    """Return what came true (y) against what was said (x), before and after the temperature."""
    plane = _Plane(1.0)
    most = max(b.n for b in (*before, *after))
    parts = [
        plane.axes("probability it states, %", "how often it is right, %"),
        plane.path([(0, 0), (1, 1)], "ideal"),
    ]
    for bins, css in ((before, "before"), (after, "after")):
        enough = [(b.confidence, b.accuracy) for b in bins if b.n >= _FEW]
        parts.append(plane.path(enough, f"line {css}"))
        parts.extend(
            f'<circle class="dot {css}" cx="{plane.x(b.confidence)}" cy="{plane.y(b.accuracy)}" '
            f'r="{2.5 + 6 * math.sqrt(b.n / most):.1f}"><title>{b.n} photos: says '
            f"{_label(b.confidence)} %, right {_label(b.accuracy)} %</title></circle>"
            for b in bins
        )
    return _drawing("".join(parts), "Reliability diagram: stated probability against accuracy")


def risk_coverage(points: Sequence[RiskPoint], verdicts: Verdicts, photos: int) -> Markup:
    """Return the errors (y) among the share of photos answered (x), and where the model stands."""
    named = verdicts.named
    stands = (named.n / photos, 1 - named.hits / named.n) if named.n else None
    worst = max([0.05, *(p.risk for p in points), *([stands[1]] if stands else [])])
    plane = _Plane(_round_up(worst))
    parts = [
        plane.axes("share of photos it answers, %", "wrong among them, %"),
        plane.path([(0, 0.05), (1, 0.05)], "ideal"),
        plane.path([(p.coverage, p.risk) for p in points], "line after"),
    ]
    if stands:
        x, y = plane.x(stands[0]), plane.y(stands[1])
        parts.append(
            f'<path class="stand" d="M{x} {y - 8} L{x + 8} {y} L{x} {y + 8} L{x - 8} {y} Z">'
            f"<title>as set: answers {_label(stands[0])} %, of these {_label(stands[1])} % wrong"
            "</title></path>"
        )
    return _drawing("".join(parts), "Risk-coverage curve: errors against share answered")


def interval_bar(share: Share) -> Markup:
    """Return one row's proportion as a dot, with its 95 % interval as a line."""
    width, middle = _ROW_WIDTH - 2 * _ROW_EDGE, _ROW_HEIGHT / 2
    low, high = (_ROW_EDGE + end * width for end in share.interval)
    dot = ""
    if share.value is not None:
        dot = f'<circle cx="{_ROW_EDGE + share.value * width:.0f}" cy="{middle}" r="4"/>'
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="row" width="{_ROW_WIDTH}" height="{_ROW_HEIGHT}" aria-hidden="true">'
        f'<line class="rail" x1="{_ROW_EDGE}" x2="{_ROW_EDGE + width}" y1="{middle}" '
        f'y2="{middle}"/>'
        f'<line x1="{low:.0f}" x2="{high:.0f}" y1="{middle}" y2="{middle}"/>{dot}</svg>'
    )


def _drawing(inside: str, name: str) -> Markup:
    return Markup(  # noqa: S704 - numbers and words of this module only
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{name}">{inside}</svg>'
    )


def _label(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0")


def _round_up(value: float) -> float:
    """Return the next proportion whose quarter is a round number of per cent."""
    return next((top for top in (0.08, 0.12, 0.16, 0.2, 0.4, 0.6, 0.8) if value <= top), 1.0)
