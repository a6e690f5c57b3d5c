"""Scoring a model on labelled photos: the test side of a dataset, or a folder of the owner's.

Owns where those photos come from, and the joint from an evaluation to its report. Knows nothing
of versions or of what follows from the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from doggo.core.errors import InputError, UsageError
from doggo.core.progress import Progress, silent
from doggo.core.records import Manifest, Origin, Split
from doggo.evaluate.evaluation import UNSEEN, Learned
from doggo.nets.licences import weights_licence
from doggo.registry.card import DATA_LICENCE
from doggo.scored import Scored
from doggo.storage.manifests import read_raw
from doggo.storage.whole import write_whole
from doggo.stores import Stores

if TYPE_CHECKING:
    from doggo.evaluate.kept import KeptFeatures
    from doggo.evaluate.labelled import LabelledPhoto
    from doggo.intake.found import Found
    from doggo.vision.predictor import Predictor


def score(
    predictor: Predictor,
    photos: Sequence[LabelledPhoto],
    *,
    data: str,
    out: Path,
    kept: KeptFeatures | None = None,
    learned: Learned | None = UNSEEN,
    progress: Progress = silent,
) -> Scored:
    """Score a model on labelled photos and write the report and its JSON beside it.

    Args:
        kept, learned: see `evaluate.run.evaluate`.

    Raises:
        UsageError: see `json_beside`.
        StorageError: the disk refuses one of them.
    """
    from doggo.evaluate.report import write_report
    from doggo.evaluate.run import evaluate

    json = json_beside(out)
    evaluation = evaluate(
        predictor,
        photos,
        data=data,
        licences=(DATA_LICENCE, weights_licence(predictor.bundle.backbone)),
        kept=kept,
        learned=learned,
        progress=progress,
    )
    write_report(evaluation, out, photos)
    write_whole(json, evaluation.to_json())
    return Scored(
        version=predictor.model.version or None,
        data=data,
        photos=len(photos),
        headline=evaluation.headline(),
        report=out,
        learned=learned,
        caveats=evaluation.caveats,
        unknown_breeds={
            unknown.breed: unknown.named + unknown.unsure + unknown.not_a_dog
            for unknown in evaluation.unknown_breeds
        },
    )


def json_beside(report: Path) -> Path:
    """Return where the JSON of a report goes.

    Raises:
        UsageError: it would take the report's own place.
    """
    if report.suffix.lower() == ".json":
        raise UsageError(
            f"--out {report}: the report is a web page and its JSON goes beside it; "
            f"give --out {report.with_suffix('.html')}"
        )
    return report.with_suffix(".json")


def test_photos(stores: Stores, manifest: Manifest, progress: Progress) -> list[LabelledPhoto]:
    """Return the test side of a dataset as raw bytes to be read one by one.

    A photo is `found_at` the owner's own file, so that a wrong label can be mended there.
    """
    from doggo.evaluate.labelled import LabelledPhoto

    stores.raw.fetch([row.raw_key for row in manifest.of(Split.TEST)], progress)
    sources = stores.photos.ledger.added_sources(Origin.OWNER)
    path_by_id = {source.photo_id: source.path for source, _ in sources}
    return [
        LabelledPhoto(
            photo_id=row.photo_id,
            breed=row.breed,
            found_at=path_by_id.get(row.photo_id, row.raw_uri),
            may_be_shown=row.may_be_shown,
            read=partial(read_raw, stores.raw, row),
        )
        for row in manifest.of(Split.TEST)
    ]


def labelled_folder(folder: Path, labels: Path | None = None) -> tuple[list[LabelledPhoto], int]:
    """Return the labelled photos of a folder, and how many files in it have no label.

    Args:
        folder: on this machine, in any of the layouts that intake reads; or a `.tar` or `.zip`.
            No bucket, and no compressed tar: there is nowhere to inflate it.

    Raises:
        InputError: no file in it has a label, or it is an archive that cannot be read.
    """
    from doggo.evaluate.labelled import LabelledPhoto
    from doggo.intake.scan import scan

    files = scan([folder], labels).files
    found = [file for file in files if file.breed is not None]
    if not found:
        raise InputError(
            f"{folder}: no labelled photos; put them into a folder per breed, name them "
            "breed_id.jpg, or give --labels CSV"
        )
    photos = [
        LabelledPhoto(
            photo_id=str(n),
            breed=file.breed or "",
            found_at=file.path,
            may_be_shown=True,
            read=partial(_read_found, file),
        )
        for n, file in enumerate(found)
    ]
    return photos, len(files) - len(found)


def _read_found(file: Found) -> bytes:
    from doggo.core.errors import PhotoError, Rejection
    from doggo.intake.arrays import is_array, png_of
    from doggo.intake.found import load

    _, data = load(file.place)
    if data is None:
        raise PhotoError(Rejection.TOO_MANY_BYTES, f"{file.path} is too large for a photo")
    return png_of(data) if is_array(data) else data
