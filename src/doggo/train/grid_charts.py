"""One picture of a grid: the points with their intervals, their curves, and what they cost.

Draws with matplotlib's Agg, without its global state, so that it works in any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from doggo.train.charts import INK, plain_axes
from doggo.train.grid_result import Figures, GridResult, GridRow

_COLOURS = ("#2f7d5b", "#c2571a", "#3f6fb5", "#8a5aa8", "#b08a1e", "#4a9ba6")
"""Of the best points, in their order; also told apart by those who see no red or green."""
_OTHERS, _GRID = "#b9c0c8", "#e6e8eb"
_MOST_ROWS = 40  # more points than this on an axis cannot be read


def draw_grid(result: GridResult, file: Path) -> Path:
    """Write the comparison of a grid with one point or more as a PNG; return its path."""
    rows = [row for row in result.rows if row.figures is not None][:_MOST_ROWS]
    height = max(6.4, 1.6 + 0.42 * len(rows))
    figure = Figure(figsize=(14, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    panes = figure.add_gridspec(2, 2, width_ratios=[1.15, 1], wspace=0.05)
    _draw_points(figure.add_subplot(panes[:, 0]), rows)
    _draw_curves(figure.add_subplot(panes[0, 1]), rows)
    _draw_cost(figure.add_subplot(panes[1, 1]), rows)
    figure.savefig(file, dpi=110, bbox_inches="tight", pad_inches=0.2)
    return file


def _draw_points(axes: Axes, rows: Sequence[GridRow]) -> None:
    _behind(axes, "validation top-1, with 95 % intervals")
    for place, (_, shown) in enumerate(_with_figures(rows)):
        low, high = shown.top1_interval
        colour = _colour(place)
        axes.plot([low, high], [place, place], color=colour, linewidth=2.2, zorder=2)
        axes.plot(shown.start_top1, place, "|", color=INK, markersize=11, zorder=3)
        axes.plot(shown.top1, place, "o", color=colour, markersize=8, zorder=4)
        axes.annotate(
            f"{shown.top1:.1%}", (high, place), (6, 0), textcoords="offset points",
            va="center", fontsize=9, color=INK,
        )  # fmt: skip
    axes.plot([], [], "|", color=INK, markersize=11, label="before training")
    axes.set_yticks(range(len(rows)), [row.point.label for row in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.grid(axis="x", color=_GRID)
    axes.margins(x=0.1)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("ordered by macro AUROC, the best above", color=INK)
    axes.legend(frameon=False, labelcolor=INK, loc="lower right", fontsize=9)


def _draw_curves(axes: Axes, rows: Sequence[GridRow]) -> None:
    _behind(axes, "validation top-1 by epoch; a dot where it was kept")
    for place, (_, shown) in reversed(list(enumerate(_with_figures(rows)))):
        colour = _colour(place)
        epochs, values = list(shown.top1_by_epoch), list(shown.top1_by_epoch.values())
        axes.plot(epochs, values, color=colour, linewidth=1.7 if place < 6 else 1.0)
        axes.plot(shown.best_epoch, shown.top1, "o", color=colour)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=_GRID)
    axes.set_xlabel("epoch", color=INK)


def _draw_cost(axes: Axes, rows: Sequence[GridRow]) -> None:
    _behind(axes, "validation macro AUROC and time, with 95 % intervals")
    for place, (_, shown) in reversed(list(enumerate(_with_figures(rows)))):
        low, high = shown.macro_auroc_interval
        colour = _colour(place)
        axes.plot([shown.seconds] * 2, [low, high], color=colour, linewidth=1.4, alpha=0.6)
        axes.plot(shown.seconds, shown.macro_auroc, "o", color=colour, markersize=8)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.grid(axis="y", color=_GRID)
    axes.margins(x=0.1)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds of training", color=INK)


def _with_figures(rows: Sequence[GridRow]) -> list[tuple[GridRow, Figures]]:
    return [(row, row.figures) for row in rows if row.figures is not None]


def _colour(place: int) -> str:
    return _COLOURS[place] if place < len(_COLOURS) else _OTHERS


def _behind(axes: Axes, name: str) -> None:
    """Draw the axes as all charts have them, and lighter than the points."""
    plain_axes(axes, name)
    axes.set_axisbelow(True)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_OTHERS)
