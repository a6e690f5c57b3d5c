"""How good a classifier is: standard figures from probabilities and labels, in numpy alone.

Owns the formulas and their sources. Knows nothing of photos, breeds by name, or files. Every
figure is over the whole set at once: averaging a figure over batches is wrong as soon as a class
is absent from a batch.

Legend: N photos, K classes, B bins. `labels_N` are class indices in [0, K).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from doggo.core.errors import InputError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

Z95 = 1.959964
"""Standard deviations to either side that hold 95 % of a normal distribution."""

ECE_BINS = 15
"""As in Guo et al. 2017, so that figures can be compared with the literature."""


class Interval(NamedTuple):
    """The two ends of a confidence interval."""

    low: float
    high: float


class Difference(NamedTuple):
    """A paired difference and its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """What a model says against what comes true, in bins of the probability of its first answer.

    Attributes:
        confidence, accuracy: [B] means per bin, NaN where the bin is empty.
        count: [B] photos per bin.
    """

    confidence: F64
    accuracy: F64
    count: I64


@dataclass(frozen=True, kw_only=True)
class RiskCoverage:
    """What share of photos is answered, and with what share of errors, as the model dares more.

    Attributes:
        coverage, risk: one point per distinct confidence, most confident first; both in [0, 1].
        threshold: the confidence from which on photos are answered at that point.
        aurc: area under the curve (Geifman and El-Yaniv 2017): mean risk over the N coverages.
    """

    coverage: F64
    risk: F64
    threshold: F64
    aurc: float

    def coverage_at(self, precision: float) -> float:
        """Return the largest share of photos that can be answered with this precision."""
        enough = self.coverage[self.risk <= 1 - precision + 1e-12]
        return float(enough.max()) if enough.size else 0.0


def top_k_hits(probabilities_NK: ArrayLike, labels_N: ArrayLike, k: int = 1) -> Bools:
    """Return for each photo whether its label is among the k most probable classes.

    Among equal probabilities the lower class index comes first, as in `argmax`.

    Raises:
        InputError: no photos, shapes that do not fit, a label outside [0, K), or NaN.
    """
    scores_NK, truth_N = _checked(probabilities_NK, labels_N)
    own_N1 = np.take_along_axis(scores_NK, truth_N[:, None], axis=1)
    before_NK = np.arange(scores_NK.shape[1]) < truth_N[:, None]
    rank_N = np.sum((scores_NK > own_N1) | ((scores_NK == own_N1) & before_NK), axis=1)
    return np.asarray(rank_N < k)


def top_k(probabilities_NK: ArrayLike, labels_N: ArrayLike, k: int = 1) -> float:
    """Return the share of photos whose label is among the k most probable classes."""
    return float(top_k_hits(probabilities_NK, labels_N, k).mean())


def macro_auroc(scores_NK: ArrayLike, labels_N: ArrayLike) -> float:
    """Return the mean one-vs-rest area under the ROC curve over the classes that are present.

    Per class it is the Mann-Whitney U statistic over positives times negatives (Hanley and
    McNeil 1982), a tie counting one half. A class without positives, or without negatives, has
    no curve and is left out; NaN if that leaves none.
    """
    checked_NK, truth_N = _checked(scores_NK, labels_N)
    n = len(truth_N)
    areas = []
    for label in np.unique(truth_N):
        positive_N = truth_N == label
        positives = int(positive_N.sum())
        if positives == n:
            continue
        column_N = checked_NK[:, label]
        sorted_N, own = np.sort(column_N), column_N[positive_N]
        below = np.searchsorted(sorted_N, own, "left") + np.searchsorted(sorted_N, own, "right")
        # Positives among themselves add positives² / 2 whatever their order.
        u = below.sum() / 2 - positives**2 / 2
        areas.append(u / (positives * (n - positives)))
    return float(np.mean(areas)) if areas else float("nan")


def macro_auroc_interval(scores_NK: ArrayLike, labels_N: ArrayLike, z: float = Z95) -> Interval:
    """Return the interval of `macro_auroc` over photos like these; 95 % by default.

    DeLong, DeLong and Clarke-Pearson 1988: the spread of each photo's placement among the
    others, over n - 1 of them. A photo is a positive of one class and a negative of all others, so
    its shares are added over the classes before they are squared. One positive alone has no
    spread: it is given the mean one of the classes that have more. On the logit scale, which keeps
    it inside [0, 1]. Where every photo is in order it has no width; without any curve, or without
    a class of two positives, it is (0, 1).
    """
    checked_NK, truth_N = _checked(scores_NK, labels_N)
    share_N = np.zeros(len(truth_N))
    areas, variances = [], []
    for label in np.unique(truth_N):
        positive_N = truth_N == label
        if positive_N.all():
            continue
        above, below = checked_NK[positive_N, label], checked_NK[~positive_N, label]
        won, lost = _places(above, below), 1 - _places(below, above)
        areas.append(float(won.mean()))
        if len(won) > 1:
            variances.append(float(won.var(ddof=1)))
        share_N[positive_N] += _deviations(won)
        share_N[~positive_N] += _deviations(lost)
    if not areas:
        return Interval(0.0, 1.0)
    area = float(np.mean(areas))
    if area in {0.0, 1.0}:
        return Interval(area, area)
    if not variances:
        return Interval(0.0, 1.0)
    alone = len(areas) - len(variances)
    variance = float(np.sum(share_N**2)) + alone * float(np.mean(variances))
    deviation = float(np.sqrt(variance)) / len(areas)
    half = z * deviation / (area * (1 - area))
    logit = np.log(area / (1 - area))
    return Interval(*(float(1 / (1 + np.exp(-end))) for end in (logit - half, logit + half)))


def _deviations(values: F64) -> F64:
    """Return each value's part in the error of their mean: its square, summed, is var / n."""
    n = len(values)
    return np.asarray((values - values.mean()) / np.sqrt(n * max(n - 1, 1)), np.float64)


def _places(values: F64, others: F64) -> F64:
    """Return for each value the share of the others that lie below it, a tie counting half."""
    ordered = np.sort(others)
    sides = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(sides / (2 * len(others)), np.float64)


def balanced_accuracy(probabilities_NK: ArrayLike, labels_N: ArrayLike) -> float:
    """Return the mean recall of the first answer over the classes that are present."""
    hits_N = top_k_hits(probabilities_NK, labels_N)
    truth_N = np.asarray(labels_N)
    support_K = np.bincount(truth_N)
    recall_K = np.bincount(truth_N, weights=hits_N) / np.maximum(support_K, 1)
    return float(recall_K[support_K > 0].mean())


def log_loss(probabilities_NK: ArrayLike, labels_N: ArrayLike) -> float:
    """Return the mean negative natural logarithm of the label's probability.

    Probabilities are raised to the smallest step of float32 (1.2e-7), so that one confident
    mistake costs 16 at most, not infinity.
    """
    checked_NK, truth_N = _checked(probabilities_NK, labels_N)
    own_N = np.take_along_axis(checked_NK, truth_N[:, None], axis=1)
    return float(-np.log(np.clip(own_N, np.finfo(np.float32).eps, 1.0)).mean())


def reliability(
    probabilities_NK: ArrayLike, labels_N: ArrayLike, bins: int = ECE_BINS
) -> Reliability:
    """Return confidence and accuracy of the first answer in bins of equal width over [0, 1]."""
    checked_NK, _ = _checked(probabilities_NK, labels_N)
    hits_N = top_k_hits(probabilities_NK, labels_N)
    confidence_N = checked_NK.max(axis=1)
    # Bins are (low, high], the first includes 0.
    bin_N = np.clip(np.ceil(confidence_N * bins).astype(np.int64) - 1, 0, bins - 1)
    count_B = np.bincount(bin_N, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            confidence=np.bincount(bin_N, weights=confidence_N, minlength=bins) / count_B,
            accuracy=np.bincount(bin_N, weights=hits_N, minlength=bins) / count_B,
            count=count_B,
        )


def expected_calibration_error(
    probabilities_NK: ArrayLike, labels_N: ArrayLike, bins: int = ECE_BINS
) -> float:
    """Return the mean gap between confidence and accuracy, weighted by photos per bin.

    Of the first answer, in bins of equal width (Naeini et al. 2015; Guo et al. 2017).
    """
    curve = reliability(probabilities_NK, labels_N, bins)
    filled_B = curve.count > 0
    gap = np.abs(curve.confidence - curve.accuracy)[filled_B]
    return float(np.average(gap, weights=curve.count[filled_B]))


def risk_coverage(probabilities_NK: ArrayLike, labels_N: ArrayLike) -> RiskCoverage:
    """Return the errors among the answered photos as the confidence asked for is lowered.

    Photos of equal confidence are answered together, since no threshold tells them apart.
    """
    checked_NK, _ = _checked(probabilities_NK, labels_N)
    hits_N = top_k_hits(probabilities_NK, labels_N)
    confidence_N = checked_NK.max(axis=1)
    order_N = np.argsort(-confidence_N, kind="stable")
    ordered_N = confidence_N[order_N]
    n = len(ordered_N)
    last = np.flatnonzero(np.append(ordered_N[1:] != ordered_N[:-1], True))  # ends of ties
    risk = np.cumsum(~hits_N[order_N])[last] / (last + 1)
    aurc = float(np.average(risk, weights=np.diff(last, prepend=-1)))
    return RiskCoverage(coverage=(last + 1) / n, risk=risk, threshold=ordered_N[last], aurc=aurc)


def confusion_counts(labels_N: ArrayLike, predicted_N: ArrayLike, classes: int) -> I64:
    """Return the [K, K] counts: row the true class, column the predicted one."""
    flat_N = np.asarray(labels_N, np.int64) * classes + np.asarray(predicted_N, np.int64)
    return np.bincount(flat_N, minlength=classes * classes).reshape(classes, classes)


def wilson_interval(hits: int, n: int, z: float = Z95) -> Interval:
    """Return the score interval of a proportion (Wilson 1927); 95 % by default.

    Unlike the normal approximation it stays inside [0, 1] and is sensible at 0, at n and for
    small n. Without observations it is (0, 1).
    """
    if n == 0:
        return Interval(0.0, 1.0)
    share, spread = hits / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(share * (1 - share) / n + spread / (4 * n))
    # Exact at the ends, where rounding would leave 1e-17.
    low = 0.0 if hits == 0 else float(centre - half)
    return Interval(low, 1.0 if hits == n else float(centre + half))


def paired_bootstrap_difference(
    hits_a_N: ArrayLike,
    hits_b_N: ArrayLike,
    seed: int = 42,
    *,
    resamples: int = 10_000,
    confidence: float = 0.95,
) -> Difference:
    """Return the top-1 difference a - b on the same photos, with its percentile interval.

    Percentile bootstrap (Efron and Tibshirani 1993) over photos. A photo adds +1, 0 or -1, so a
    resample is one multinomial draw of the three counts: exact, and independent of N in time.
    Where the two models never differ the interval has no width, however few the photos.

    Args:
        hits_a_N, hits_b_N: whether each model was right, photo by photo.

    Raises:
        InputError: no photos, or two lists of different length.
    """
    a_N, b_N = np.asarray(hits_a_N, bool), np.asarray(hits_b_N, bool)
    n = len(a_N)
    if n == 0 or a_N.shape != b_N.shape:
        raise InputError(
            f"cannot compare {n} answers with {len(b_N)}: give the same photos, one or more"
        )
    gained, lost = int(np.sum(a_N & ~b_N)), int(np.sum(b_N & ~a_N))
    draws = np.random.default_rng(seed).multinomial(
        n, [gained / n, lost / n, (n - gained - lost) / n], size=resamples
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / n, [tail, 1 - tail])
    return Difference((gained - lost) / n, float(low), float(high))


def _checked(scores_NK: ArrayLike, labels_N: ArrayLike) -> tuple[F64, I64]:
    """Return both as float64 and int64 after the checks that every figure needs."""
    scores, labels = np.asarray(scores_NK, np.float64), np.asarray(labels_N)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise InputError(
            f"scores of shape {scores.shape} do not fit labels of shape {labels.shape}: "
            "one row a photo, one label a row"
        )
    if not len(labels):
        raise InputError("no photos to score: give at least one labelled photo")
    if np.isnan(scores).any():
        raise InputError("the model's answers hold NaN: its training diverged, lower --lr")
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels must be class indices, not {labels.dtype}")
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise InputError(
            f"labels run from {labels.min()} to {labels.max()}, "
            f"but the model has {scores.shape[1]} classes"
        )
    return scores, labels.astype(np.int64)
