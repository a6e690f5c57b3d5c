"""Pictures of a run for its tracker page: the curve, what is confused, and a batch.

Draws with matplotlib's Agg, without its global state, so that it works in any thread.

Legend: K breeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from PIL import Image

from doggo.core.breeds import title
from doggo.train.curve import Epoch

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

INK, TRAIN, VALIDATION, BEST = "#2b2d33", "#9aa5b1", "#c2571a", "#2f7d5b"
_NAMED_BREEDS = 25  # more names than this on an axis cannot be read
_PAIRS = 15
_BATCH_COLUMNS = 8


def draw_curve(curve: Sequence[Epoch], best: Epoch, file: Path) -> Path:
    """Write loss, top-1 and macro AUROC by epoch as a PNG, the winner marked."""
    figure = Figure(figsize=(12, 3.8), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    loss, top1, auroc = figure.subplots(1, 3)
    epochs = [epoch.number for epoch in curve]
    loss.plot(epochs, [e.train_loss for e in curve], color=TRAIN, label="training")
    loss.plot(epochs, [e.val_loss for e in curve], color=VALIDATION, label="validation")
    top1.plot(epochs, [e.train_top1 for e in curve], color=TRAIN, label="training")
    top1.plot(epochs, [e.val_top1 for e in curve], color=VALIDATION, label="validation")
    auroc.plot(epochs, [e.val_macro_auroc for e in curve], color=VALIDATION, label="validation")
    top1.yaxis.set_major_formatter(PercentFormatter(1.0))
    auroc.ticklabel_format(axis="y", useOffset=False)
    for axes, name in ((loss, "cross-entropy"), (top1, "top-1"), (auroc, "macro AUROC")):
        plain_axes(axes, name)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.axvline(best.number, color=BEST, linestyle=":", label=f"kept: epoch {best.number}")
    loss.legend(frameon=False, labelcolor=INK)
    figure.savefig(file, dpi=120)
    return file


def draw_confusion(counts_KK: I64, labels: Sequence[str], file: Path) -> Path:
    """Write the confusion matrix as a PNG: shares by true breed, and the worst pairs by name.

    Args:
        counts_KK: rows the true breed, columns the answer.
    """
    figure = Figure(figsize=(15, 8), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    matrix, pairs = figure.subplots(1, 2, width_ratios=[1.15, 1])
    share_KK = counts_KK / np.maximum(counts_KK.sum(axis=1, keepdims=True), 1)
    shown = matrix.imshow(share_KK, cmap="magma_r", vmin=0, vmax=1, interpolation="nearest")
    bar = figure.colorbar(shown, ax=matrix, shrink=0.7, format=PercentFormatter(1.0))
    bar.outline.set_visible(False)
    plain_axes(matrix, "validation: share of each breed's photos")
    matrix.set_xlabel("answer")
    matrix.set_ylabel("true breed")
    if len(labels) <= _NAMED_BREEDS:
        names = [title(label) for label in labels]
        matrix.set_xticks(range(len(labels)), names, rotation=90, fontsize=8)
        matrix.set_yticks(range(len(labels)), names, fontsize=8)
    else:
        matrix.set_xticks([])
        matrix.set_yticks([])
    _draw_pairs(pairs, counts_KK, labels)
    figure.savefig(file, dpi=110)
    return file


def draw_batch(images_NHWC: U8, file: Path) -> Path:
    """Write photos as they are fed to a network, eight a row, as a PNG."""
    n, height_px, width_px, _ = images_NHWC.shape
    columns = min(n, _BATCH_COLUMNS)
    sheet = Image.new("RGB", (columns * width_px, -(-n // columns) * height_px), "white")
    for number, image_HWC in enumerate(images_NHWC):
        row, column = divmod(number, columns)
        sheet.paste(Image.fromarray(image_HWC), (column * width_px, row * height_px))
    sheet.save(file)
    return file


def most_confused(counts_KK: I64) -> list[tuple[int, int, int]]:
    """Return (true, answer, photos) of the most frequent mistakes, the worst first."""
    wrong_KK = counts_KK.copy()
    np.fill_diagonal(wrong_KK, 0)
    order = np.argsort(-wrong_KK, axis=None, kind="stable")[:_PAIRS]
    found = [divmod(int(place), len(wrong_KK)) for place in order]
    return [(t, a, int(wrong_KK[t, a])) for t, a in found if wrong_KK[t, a] > 0]


def _draw_pairs(axes: Axes, counts_KK: I64, labels: Sequence[str]) -> None:
    worst = most_confused(counts_KK)
    plain_axes(axes, "most confused, in photos" if worst else "nothing was confused")
    names = [f"{title(labels[t])} → {title(labels[a])}" for t, a, _ in worst]
    bars = axes.barh(names, [n for *_, n in worst], color=VALIDATION, height=0.7)
    axes.bar_label(bars, padding=4, color=INK)
    axes.invert_yaxis()
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)


def plain_axes(axes: Axes, name: str) -> None:
    """Give axes a title and take away what says nothing."""
    axes.set_title(name, loc="left", color=INK, fontsize=11, fontweight="bold")
    axes.tick_params(colors=INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
