"""Evaluate a sealed bundle through the predictor that serves it, on raw bytes.

Owns what goes into an evaluation. It fits nothing: temperature and thresholds are the bundle's
own. Which photos they are (the test split, a folder) is the caller's choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from doggo.core import metrics
from doggo.core.errors import InputError
from doggo.core.progress import Progress, silent
from doggo.core.records import Verdict
from doggo.evaluate import figures
from doggo.evaluate.answers import Answer, Answered, answer_all
from doggo.evaluate.evaluation import (
    UNSEEN,
    Evaluation,
    Learned,
    ModelFacts,
    NotScored,
    Share,
)
from doggo.evaluate.kept import KeptFeatures
from doggo.evaluate.labelled import LabelledPhoto
from doggo.vision.predictor import Predictor

PRE_TRAINING_CAVEAT = (
    "The network was pre-trained on ImageNet. If these photos come from ImageNet (as those of "
    "Stanford Dogs and of Kaggle's dog-breed-identification do), it has seen many of them, with "
    "their labels, before: these figures flatter it. On photos from elsewhere expect several "
    "points less: doggo evaluate --photos DIR measures it on yours."
)
FEW_PHOTOS_CAVEAT = (
    "Most breeds have fewer than 30 photos here: the figure of a single breed is a hint, its "
    "interval says how much of one."
)
UNKNOWN_PHOTOS_CAVEAT = (
    "The dataset that this model learned from is not here: nobody can tell whether these photos "
    "were in it. Figures on such photos flatter it."
)


def evaluate(
    predictor: Predictor,
    photos: Sequence[LabelledPhoto],
    *,
    data: str,
    licences: Sequence[str] = (),
    kept: KeptFeatures | None = None,
    learned: Learned | None = UNSEEN,
    progress: Progress = silent,
) -> Evaluation:
    """Return how the predictor's bundle answers these photos.

    A photo that cannot be read or decoded is listed with its reason and never stops the rest.
    Photos of breeds that the model has not are answered too and counted on their own.

    Args:
        photos: best such as the bundle was not fitted on.
        data: which photos these are, in words, such as "the test split of dataset 1f0c".
        licences: one line each on the weights' and the data's terms, for the report.
        kept: features that the network's body computed for these photos in earlier evaluations,
            for what is evaluated again and again; see `answers.answer_all`.
        learned: how many of the photos the bundle was fitted on; None: it cannot be told.

    Raises:
        InputError: there is no photo, or none could be scored.
    """
    if not photos:
        raise InputError(f"no photos to evaluate in {data}")
    labels = {breed: index for index, breed in enumerate(predictor.bundle.labels)}
    answered = answer_all(predictor, photos, kept, progress)
    not_scored = [item for item in answered.items if isinstance(item, NotScored)]
    answers = [item for item in answered.items if isinstance(item, Answer)]
    known = [answer for answer in answers if answer.photo.breed in labels]
    unknown = [(a.photo.breed, a.verdict) for a in answers if a.photo.breed not in labels]
    if not known:
        raise InputError(_nothing_scored(data, unknown, not_scored))
    scored = figures.Scored(
        breeds=tuple(labels),
        photos=[answer.photo for answer in known],
        labels=np.array([labels[answer.photo.breed] for answer in known]),
        probabilities=np.stack([answer.probabilities for answer in known]),
        verdicts=[answer.verdict for answer in known],
    )
    facts = model_facts(predictor, licences)
    evaluation = _evaluation(
        scored, facts, data, answered=answered, unknown=unknown, not_scored=not_scored
    )
    caveats = (*_learned_caveat(learned, len(photos)), *evaluation.caveats)
    return replace(evaluation, learned=learned, caveats=caveats)


def _learned_caveat(learned: Learned | None, photos: int) -> Iterator[str]:
    if learned is None:
        yield UNKNOWN_PHOTOS_CAVEAT
    elif known := learned.trained + learned.validated:
        yield (
            f"{known:,} of {photos:,} photos are ones that the model learned from "
            f"({learned.trained:,} to train, {learned.validated:,} to validate and calibrate): "
            "the figures flatter it. `doggo evaluate` alone scores photos that were kept from it."
        )


def model_facts(predictor: Predictor, licences: Sequence[str] = ()) -> ModelFacts:
    """Return which model a predictor answers with, for the report."""
    bundle, model, view = predictor.bundle, predictor.model, predictor.bundle.view
    return ModelFacts(
        name=model.name,
        version=model.version,
        sha256=model.sha256,
        backbone=bundle.backbone,
        recipe=bundle.recipe,
        manifest_id=bundle.manifest_id,
        git_revision=bundle.git_revision,
        weights_sha256=bundle.weights_sha256,
        runtime=predictor.pair.name,
        view=f"{view.mode} {view.size_px} px of {view.resize_px} px",
        decoder=bundle.decoder,
        step=bundle.step,
        temperature=bundle.temperature,
        dog_mass_threshold=bundle.thresholds.dog_mass,
        breed_threshold=bundle.thresholds.breed_probability,
        known_share_threshold=bundle.thresholds.known_share,
        calibration=bundle.calibration,
        labels=len(bundle.labels),
        licences=tuple(licences),
    )


def _evaluation(
    scored: figures.Scored,
    facts: ModelFacts,
    data: str,
    *,
    answered: Answered,
    unknown: Sequence[tuple[str, Verdict]],
    not_scored: Sequence[NotScored],
) -> Evaluation:
    probabilities_NK, labels_N = scored.probabilities, scored.labels
    confusion_KK = metrics.confusion_counts(labels_N, scored.answers, len(scored.breeds))
    mistakes = figures.confident_mistakes(scored)
    auroc = metrics.macro_auroc(probabilities_NK, labels_N)
    curve = metrics.risk_coverage(probabilities_NK, labels_N)
    bare_NK = figures.uncalibrated(probabilities_NK, facts.temperature)
    few = np.median(np.bincount(labels_N)[np.unique(labels_N)]) < 30
    return Evaluation(
        model=facts,
        data=data,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        top1=_share(probabilities_NK, labels_N, 1),
        top3=_share(probabilities_NK, labels_N, 3),
        macro_auroc=None if np.isnan(auroc) else auroc,
        balanced_accuracy=metrics.balanced_accuracy(probabilities_NK, labels_N),
        before=figures.calibration(bare_NK, labels_N),
        after=figures.calibration(probabilities_NK, labels_N),
        aurc=curve.aurc,
        coverage_at_95=curve.coverage_at(0.95),
        risk_coverage=figures.risk_points(curve),
        verdicts=figures.count_verdicts(scored),
        breeds=figures.score_breeds(scored.breeds, confusion_KK),
        confused=figures.confused_pairs(scored.breeds, confusion_KK, mistakes),
        mistakes=mistakes[: figures.CONFIDENT_MISTAKES],
        unknown_breeds=figures.unknown_breeds(unknown, scored.breeds),
        not_scored=tuple(not_scored),
        ms_per_photo=answered.ms_per_photo,
        recalled=answered.recalled,
        caveats=(PRE_TRAINING_CAVEAT, FEW_PHOTOS_CAVEAT) if few else (PRE_TRAINING_CAVEAT,),
    )


def _share(probabilities_NK: NDArray[np.float32], labels_N: NDArray[np.int64], k: int) -> Share:
    hits_N = metrics.top_k_hits(probabilities_NK, labels_N, k)
    return Share(hits=int(hits_N.sum()), n=len(hits_N))


def _nothing_scored(
    data: str, unknown: Sequence[tuple[str, Verdict]], not_scored: Sequence[NotScored]
) -> str:
    if unknown:
        breeds = sorted({breed for breed, _ in unknown})
        return f"the model knows none of the breeds in {data}: {', '.join(breeds[:5])}"
    return f"none of the photos in {data} can be read; the first: {not_scored[0].detail}"
