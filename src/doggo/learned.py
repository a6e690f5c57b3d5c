"""Which labelled photos a model learned from: those of its dataset, known again by their content.

Owns that look-up. A photo is known by the sha256 of its file as the ledger of intake has it, so
also where its metadata were removed; one that was rescaled or encoded anew is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from doggo.core.errors import DoggoError
from doggo.core.records import Split
from doggo.evaluate.evaluation import Learned
from doggo.evaluate.labelled import LabelledPhoto
from doggo.storage import manifests
from doggo.storage.buckets import Bucket
from doggo.storage.ledger import Ledger
from doggo.vision.bundle import parse_bundle, read_validation


def learned_from(
    folder: Path, photos: Sequence[LabelledPhoto], *, ledger: Ledger, processed: Bucket
) -> Learned | None:
    """Return how many photos a bundle was trained and validated on; None if it cannot be told.

    That is where its dataset is not here. Reads every photo.

    Args:
        folder: the bundle.
        ledger: what intake wrote down of the home's photos.
        processed: the home's datasets.

    Raises:
        BundleError: the bundle is damaged.
    """
    manifest_id = parse_bundle(folder).manifest_id
    validated, trained = set(read_validation(folder).answers), set[str]()
    if manifest_id is not None:
        try:
            manifest = manifests.load(processed, manifest_id)
        except DoggoError:
            return None
        trained = {row.photo_id for row in manifest.of(Split.TRAIN)}
        validated |= {row.photo_id for row in manifest.of(Split.VALIDATION)}
    photo_ids = _photo_ids(photos, ledger)
    return Learned(
        trained=sum(photo_id in trained for photo_id in photo_ids),
        validated=sum(photo_id in validated for photo_id in photo_ids),
    )


def _photo_ids(photos: Sequence[LabelledPhoto], ledger: Ledger) -> list[str]:
    """Return the ids that the photos have here, or would have."""
    with ThreadPoolExecutor() as threads:
        hashes = list(threads.map(_sha256, photos))
    sources = ledger.sources(set(hashes))
    became = {sha256: source.photo_id for (sha256, _), source in sources.items() if source.photo_id}
    return [became.get(sha256, sha256) for sha256 in hashes]


def _sha256(photo: LabelledPhoto) -> str:
    try:
        return hashlib.sha256(photo.read()).hexdigest()
    except (DoggoError, OSError):
        return ""  # the evaluation will say so
