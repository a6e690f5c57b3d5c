"""Two bundles on the same validation photos: sealed answers where there are, else computed.

Owns the facts of the comparison that the gate judges. Knows nothing of pointers or rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import DoggoError, InputError
from doggo.core.progress import Progress, silent
from doggo.core.records import Manifest, ManifestRow, Split
from doggo.registry.gate import Comparison, Hits
from doggo.storage.shards import PixelReader
from doggo.vision.bundle import parse_bundle, read_validation
from doggo.vision.pairs import Pair
from doggo.vision.predictor import Predictor
from doggo.vision.runtime import Opener, open_session

U8 = NDArray[np.uint8]

_CHUNK = 64
_NOTHING: Hits = np.zeros(0, bool)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """The labelled photos that models are compared on.

    Attributes:
        read_raw: gives a photo's raw bytes, for a model that needs larger pixels than the
            shards hold; without it such a model cannot be compared.
    """

    manifest: Manifest
    pixels: PixelReader
    read_raw: Callable[[ManifestRow], bytes] | None = None


def compare(
    challenger: Path,
    champion: Path,
    champion_version: int,
    dataset: Dataset | None,
    *,
    pair: Pair | None = None,
    open_network: Opener = open_session,
    progress: Progress = silent,
) -> Comparison:
    """Return how both bundles do on the validation photos of breeds that both know.

    Sealed answers are taken where a bundle has them, so that only photos it has not seen cost
    anything. A champion that cannot be read is a `problem`, not an error.
    """
    ours = set(parse_bundle(challenger).labels)
    try:
        theirs = set(parse_bundle(champion).labels)
    except DoggoError as error:
        return _incomparable(champion_version, str(error))
    shared = ours & theirs
    rows = [] if dataset is None else dataset.manifest.of(Split.VALIDATION)
    rows = [row for row in rows if row.breed in shared]
    problem = None
    try:
        load = partial(Predictor.load, pair=pair, open_network=open_network)
        challenger_hits = _hits(challenger, rows, dataset, load, progress)
        champion_hits = _hits(champion, rows, dataset, load, progress)
    except DoggoError as error:
        problem, challenger_hits, champion_hits = str(error), _NOTHING, _NOTHING
    return Comparison(
        champion=champion_version,
        added=tuple(sorted(ours - theirs)),
        removed=tuple(sorted(theirs - ours)),
        shared=len(shared),
        challenger_hits=challenger_hits,
        champion_hits=champion_hits,
        problem=problem,
    )


def _incomparable(champion_version: int, problem: str) -> Comparison:
    return Comparison(
        champion=champion_version,
        added=(),
        removed=(),
        shared=0,
        challenger_hits=_NOTHING,
        champion_hits=_NOTHING,
        problem=problem,
    )


def _hits(
    folder: Path,
    rows: Sequence[ManifestRow],
    dataset: Dataset | None,
    load: Callable[[Path], Predictor],
    progress: Progress,
) -> Hits:
    sealed = {key: answer.breed for key, answer in read_validation(folder).answers.items()}
    missing = [row for row in rows if row.photo_id not in sealed]
    answers: Mapping[str, str] = sealed
    if missing and dataset is not None:
        predictor = load(folder)
        answers = {**sealed, **_answer(predictor, missing, dataset, progress)}
    return np.array([answers[row.photo_id] == row.breed for row in rows], bool)


def _answer(
    predictor: Predictor, rows: Sequence[ManifestRow], dataset: Dataset, progress: Progress
) -> dict[str, str]:
    """Return the best breed for each photo, by photo_id."""
    found: dict[str, str] = {}
    labels = predictor.bundle.labels
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        images_NHWC = np.stack([_image(predictor, row, dataset) for row in chunk])
        for row, seen in zip(chunk, predictor.infer(images_NHWC), strict=True):
            found[row.photo_id] = labels[int(seen.probabilities_K.argmax())]
        progress("compare", len(found), len(rows))
    return found


def _image(predictor: Predictor, row: ManifestRow, dataset: Dataset) -> U8:
    view, manifest = predictor.bundle.view, dataset.manifest
    if view.short_side_px == manifest.short_side_px:
        return view.crop(dataset.pixels.image(row))
    if dataset.read_raw is None:
        raise InputError(
            f"{predictor.model.name} needs photos of {view.short_side_px} px, dataset "
            f"{manifest.manifest_id} has {manifest.short_side_px} px"
        )
    return predictor.view(dataset.read_raw(row))
